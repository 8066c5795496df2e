from tests.evaluation.conftest import predictions  # noqa: F401
