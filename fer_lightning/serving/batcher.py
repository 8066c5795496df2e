"""Images of all clients, decoded by a few threads, answered by one in common batches.

Why not LitServe: 0.2.19 answered 57, 124 and 143 images a second for 1, 8 and 32 clients where this answered 90, 161
and 179 (same machine and images, two turns each, all answers equal), in processes of its own, and leaves it to its user
to bound pixels and what waits.
"""

import io
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any

from PIL import Image

from fer_lightning.data.image_files import WEB_FORMATS, TooManyPixelsError, UnreadableImageError, read_image
from fer_lightning.inference.expression import Expression
from fer_lightning.inference.frames import Frame, Look
from fer_lightning.inference.recognizer import ExpressionRecognizer
from fer_lightning.inference.sources import Source
from fer_lightning.serving.limits import Limits, too_busy


@dataclass(frozen=True)
class Seen:
    """What was seen in an image.

    Attributes:
        faces: The largest first.
        size: Width and height of the upright image, whose pixels the boxes are in; None if it could not be decoded.
        code: A word for why not; empty if it could.
        reason: The same for people.
    """

    faces: Sequence[Expression] = ()
    size: tuple[int, int] | None = None
    code: str = ""
    reason: str = ""


@dataclass(eq=False)
class _Waiting:
    """An image that is not answered yet."""

    content: bytes
    how: Look
    done: Future[Seen]
    frame: Frame | None = None
    size: tuple[int, int] | None = None


class Batcher:
    """Answers for images of many clients at once. Its threads end with the process, whatever they are at.

    Args:
        recognizer: Whose network answers; used by one thread alone.
        limits: How many images may wait, and how large they may be.
        batch_size: Faces that the network takes at once.
        batch_seconds: How long a batch waits for images that are being decoded.
        threads: That decode images and find faces.
    """

    def __init__(
        self, recognizer: ExpressionRecognizer, limits: Limits, batch_size: int, batch_seconds: float, threads: int
    ) -> None:
        self._recognizer, self._limits = recognizer, limits
        self._batch_size, self._batch_seconds = batch_size, batch_seconds
        spec = recognizer.input_spec
        self._looks = {None: Look(spec), True: Look(replace(spec, faces="whole"))}
        self._looks[False] = Look(replace(spec, faces="detect"))
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._looked: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._lock = threading.Lock()
        self.waiting = 0
        self.on_batch: Callable[[int], Any] = lambda faces: None
        self._threads = [threading.Thread(target=self._work, name="decode", daemon=True) for _ in range(threads)]
        self._threads.append(threading.Thread(target=self._answer, name="answer", daemon=True))
        for thread in self._threads:
            thread.start()

    def submit(self, contents: Sequence[bytes], whole: bool | None = None) -> list[Future[Seen]]:
        """Begin to look at images.

        Args:
            contents: The files' bytes.
            whole: Whether each image is one face, or faces are looked for; None does as in training.

        Raises:
            RefusedError: If too many wait already.
            FERError: If faces cannot be looked for here.
        """
        how = self._looks[whole]
        how.spec.need_detector()
        with self._lock:
            if self.waiting + len(contents) > self._limits.waiting:
                raise too_busy(
                    f"At most {self._limits.waiting:,} images may wait for an answer. Received {len(contents):,} while "
                    f"{self.waiting:,} wait. Try again in a second."
                )
            self.waiting += len(contents)
        items = [_Waiting(content, how, Future()) for content in contents]
        for item in items:
            item.done.add_done_callback(lambda _, item=item: self._forget(item))  # type: ignore[misc]
            self._jobs.put(lambda item=item: self._look(item))  # type: ignore[misc]
        return [item.done for item in items]

    def run(self, function: Callable[..., Any], *given: Any) -> Future[Any]:
        """Call a function in one of the threads that decode, so that others are answered meanwhile."""
        done: Future[Any] = Future()

        def job() -> None:
            if done.set_running_or_notify_cancel():
                try:
                    done.set_result(function(*given))
                except BaseException as error:  # whoever waits for it gets it
                    done.set_exception(error)

        self._jobs.put(job)
        return done

    def close(self, seconds: float = 1.0) -> None:
        """Let the threads end, and wait for them a moment."""
        for _ in self._threads:
            self._jobs.put(None)
            self._looked.put(None)
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _forget(self, item: _Waiting) -> None:
        item.content = b""  # of one that nobody waits for any more, which may stay in the queue for a while
        with self._lock:
            self.waiting -= 1

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # with the image that it holds, which else stays until the next one comes

    def _look(self, item: _Waiting) -> None:
        """Decode an image, find the faces in it and prepare them."""
        if not item.done.set_running_or_notify_cancel():
            return
        try:
            image = self._read(item.content)
            item.content, item.size = b"", image.size
            item.frame = item.how.at(image, Frame(Source("", "image")))
        except TooManyPixelsError as error:
            item.done.set_result(Seen(code="too_many_pixels", reason=f"The image cannot be used: {error.reason}."))
        except UnreadableImageError as error:
            item.done.set_result(Seen(code="unreadable", reason=f"The image cannot be read: {error.reason}."))
        except MemoryError:
            item.done.set_result(Seen(code="no_memory", reason="There is not enough memory for the image."))
        except BaseException as error:  # whoever waits for it gets it
            item.done.set_exception(error)
        else:
            self._looked.put(item)

    def _read(self, content: bytes) -> Image.Image:
        return read_image(io.BytesIO(content), self._limits.pixels, WEB_FORMATS)

    def _answer(self) -> None:
        while batch := self._next_batch():
            try:
                frames = [item.frame for item in batch if item.frame is not None]
                answered = list(self._recognizer.answer(frames))
                seen = [self._recognizer.recognition(frame).faces for frame in answered]
                self.on_batch(sum(map(len, seen)))
                for item, faces in zip(batch, seen, strict=True):
                    item.done.set_result(Seen(faces, item.size))
            except BaseException as error:  # whoever waits for it gets it
                for item in batch:
                    if not item.done.done():
                        item.done.set_exception(error)

    def _next_batch(self) -> list[_Waiting]:
        """Images that are answered together; empty if there will be no more."""
        item, batch, faces = self._looked.get(), [], 0
        until = time.monotonic() + self._batch_seconds
        while item is not None:
            batch.append(item)
            faces += len(item.frame.faces) if item.frame else 0
            others = self.waiting > len(batch)  # nobody waits for somebody who is not there
            if faces >= self._batch_size:
                break
            try:
                left = max(0.0, until - time.monotonic())
                item = self._looked.get(timeout=left) if others and left else self._looked.get_nowait()
            except Empty:
                break
        return batch
