"""Data sets in the forms people have them, each turned into a Legend."""

from abc import ABC, abstractmethod

from fer_lightning.data.legend import Legend


class DataSource(ABC):
    """Where images and their labels come from; `FERDataModule` takes any, by class path or as an object.

    Attributes:
        name: What people call the data set; empty for the name of the folder above its images.
        license: Under which license images and labels may be used; empty if nobody said.
        class_names: The class list if it is known before anything is read, else None.
    """

    name: str = ""
    license: str = ""
    class_names: tuple[str, ...] | None = None

    @abstractmethod
    def read(self) -> Legend:
        """Read and check the data set; `fer_lightning.data.legend_lists.make_legend` does it from plain lists.

        Raises:
            FERError: If something is missing or wrong.
        """
