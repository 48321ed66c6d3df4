"""How large the loss lab is run: as the issue states it, or small enough for every test run."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scale:
    """One knob for all rows. A row asks for what it needs and states no number of its own."""

    images: int
    stated: bool
    outage_seconds: float = 60.0
    long_outage_seconds: float = 120.0
    restarts: int = 30
    kills: int = 10
    letters: int = 10_000  # dead letters that are many
    pause_at_most: float = 5.0  # the longest a client waits before it tries again, whatever Retry-After says
    leader_seconds: float = 60.0  # a reconciler that is frozen while it leads is cut off after these
    compare_again_seconds: float = 600.0  # after an alarm
    answer_seconds: float = 60.0  # the services' patience with Orthanc
    lock_seconds: float = 5.0  # registration's, with a lock of PostgreSQL
    statement_seconds: float = 10.0  # and with a statement
    prefetch: int = 64  # messages that it has in hand at once
    retry_seconds: tuple[float, ...] = (10, 60, 600)  # the pauses before a message that failed is tried again
    drain_seconds: float = 600.0
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def few(self) -> int:
        """For clients that each hold a connection open at once."""
        return min(self.images, 40)

    @property
    def handful(self) -> int:
        """For images each of which waits for a time limit of seconds."""
        return min(self.images // 5, 40)

    @property
    def tries(self) -> int:
        """Of a client that outlasts the outage."""
        return int(self.outage_seconds / self.pause_at_most) + 20

    @property
    def each_kill(self) -> int:
        """Images that come in at each of the kills: so many that some are left when it happens."""
        return max(self.images // self.kills, self.few)

    @property
    def shares(self) -> list[float]:
        """How much of the work is done at each of the kills: never none, never all."""
        return [kill / (self.kills + 1) for kill in range(1, self.kills + 1)]

    @property
    def test_seconds(self) -> float:
        """No row takes longer than this; one that does hangs."""
        return 1800.0 if self.stated else 240.0


def stated(images: int) -> Scale:
    """`make chaos`: the product's own settings, outages in minutes."""
    return Scale(images, stated=True)


def small(images: int = 40) -> Scale:
    """`make test`: the same faults, with pauses and outages of seconds."""
    return Scale(
        images,
        stated=False,
        outage_seconds=5.0,
        long_outage_seconds=5.0,
        restarts=3,
        kills=2,
        letters=500,
        pause_at_most=0.5,
        leader_seconds=3.0,
        compare_again_seconds=3.0,
        answer_seconds=3.0,
        lock_seconds=2.0,
        statement_seconds=3.0,
        prefetch=8,
        retry_seconds=(0.5, 2, 3),
        drain_seconds=60.0,
        settings={
            "EXAMFLOW_ORTHANC__ANSWER_SECONDS": "3",
            "EXAMFLOW_BROKER__HEARTBEAT_SECONDS": "3",
            "EXAMFLOW_RECONCILER__GRACE_SECONDS": "3",
            "EXAMFLOW_RECONCILER__REPUBLISH_SECONDS": "[3]",
            "EXAMFLOW_RECONCILER__CHANGES_PAUSE_SECONDS": "0.3",
            "EXAMFLOW_RECONCILER__CHANGES_OVERLAP": "5",  # else it would read all images of a row again
            "EXAMFLOW_RECONCILER__COMPARE_AGAIN_SECONDS": "3",
            "EXAMFLOW_RECONCILER__GAUGES_PAUSE_SECONDS": "1",
            "EXAMFLOW_RECONCILER__PUBLISH_PAUSE_SECONDS": "0.3",
            "EXAMFLOW_MESSAGES__RETRY_SECONDS": "[0.5, 2, 3]",
            "EXAMFLOW_BROKER__PREFETCH": "8",
            "EXAMFLOW_DATABASE__LOCK_SECONDS": "2",
            "EXAMFLOW_DATABASE__STATEMENT_SECONDS": "3",
        },
    )
