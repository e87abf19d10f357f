"""Records in, a token store out: read, check, split, fit, encode, in this order, every record counted.

`source` says what a source of records is, `passes` goes through one, `gathered` is what is known of records beside
their tokens, `prepare` makes one store in this process and `parts` a store of many parts by many. Knows no format and
no alphabet.
"""

from core.data_report import DataReport
from core.ingest.prepare import prepare_store, rejects_path
from core.ingest.source import Progress, RecordSource
from core.rejects import Ledger, Reject

__all__ = ["DataReport", "Ledger", "Progress", "RecordSource", "Reject", "prepare_store", "rejects_path"]
