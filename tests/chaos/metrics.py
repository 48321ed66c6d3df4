"""What the services count, read where Prometheus reads it."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.chaos.lab import Lab


def total(lab: Lab, service: str, name: str, **labels: str) -> float:
    """The sum of a counter's samples with these labels; 0 where there is none. A restart begins at 0 again."""
    page = httpx.get(f"{lab.faulty.system.service_url(service)}/metrics", timeout=10, trust_env=False)
    samples = (s for family in text_string_to_metric_families(page.text) for s in family.samples if s.name == name)
    return sum(s.value for s in samples if labels.items() <= s.labels.items())
