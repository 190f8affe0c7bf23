"""What came of a search, as one HTML page drawn from its store."""

from keras_nasnet.search.view.report.page import write_report

__all__ = ["write_report"]
