"""Figures about the service, as Prometheus reads them: counts and times, nothing of an image or a client."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """What is counted, in a registry of its own: two services in a process do not add up.

    Args:
        waiting: Gives how many images wait.
    """

    def __init__(self, waiting: Callable[[], float]) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter("fer_requests", "Requests by HTTP status.", ["status"], registry=registry)
        self._images = Counter("fer_images", "Images by what came of them.", ["outcome"], registry=registry)
        self._faces = Counter("fer_faces", "Faces that were named.", registry=registry)
        self._seconds = Histogram(
            "fer_request_seconds",
            "From the head of a request for predictions to the end of its answer.",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=registry,
        )
        self._batches = Histogram(
            "fer_batch_faces",
            "Faces that the network took at once.",
            buckets=(0, 1, 2, 4, 8, 16, 32, 64),
            registry=registry,
        )
        Gauge("fer_images_waiting", "Images that are not answered yet.", registry=registry).set_function(waiting)

    def request(self, status: int, seconds: float | None) -> None:
        """Count a request; with how long it took if it was for predictions."""
        self._requests.labels(str(status)).inc()
        if seconds is not None:
            self._seconds.observe(seconds)

    def image(self, outcome: str, faces: int) -> None:
        """Count an image: `faces`, `no_face` or the code of an error."""
        self._images.labels(outcome).inc()
        self._faces.inc(faces)

    def batch(self, faces: int) -> None:
        """Count what the network took at once."""
        self._batches.observe(faces)

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self._registry)
