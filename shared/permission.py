"""Who may see an exam and its images: the one place that decides it, for every service and every door."""

from collections.abc import Collection
from dataclasses import dataclass

ALL_EXAMS = "exams:all"
OPS = "ops"
AUDITOR = "audit:read"


@dataclass(frozen=True)
class Caller:
    """Whom a verified token names: subject, scopes, groups."""

    sub: str
    scopes: frozenset[str] = frozenset()
    groups: tuple[str, ...] = ()

    def has(self, scope: str) -> bool:
        """Whether the token carries the scope."""
        return scope in self.scopes


def may_see_exam(caller: Caller, principals: Collection[str]) -> bool:
    """An exam and its images are for its principals (`user:<sub>`, `group:<name>`) and for `exams:all`."""
    if caller.has(ALL_EXAMS):
        return True
    return not principals_of(caller).isdisjoint(principals)


def principals_of(caller: Caller) -> set[str]:
    """The names under which an exam may be the caller's."""
    return {f"user:{caller.sub}", *(f"group:{group}" for group in caller.groups)}


def may_see_unregistered(caller: Caller, uploaders: Collection[str]) -> bool:
    """An image without an exam is for those who uploaded equal bytes, `exams:all` and `ops`."""
    return caller.sub in uploaders or caller.has(ALL_EXAMS) or caller.has(OPS)


def may_see_instance(caller: Caller, exam_principals: Collection[str] | None, uploaders: Collection[str]) -> bool:
    """A stored image: by its exam once it is registered (principals are not None), by its uploaders until then."""
    if exam_principals is None:
        return may_see_unregistered(caller, uploaders)
    return may_see_exam(caller, exam_principals)


def may_follow_instance(caller: Caller, exam_principals: Collection[str] | None, uploaders: Collection[str]) -> bool:
    """What became of an image: who may see it, and who uploaded it, whichever exam it came under."""
    return caller.sub in uploaders or may_see_instance(caller, exam_principals, uploaders)
