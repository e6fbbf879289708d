"""The audit: real Great Expectations over batches, in a process of its own. Only this package imports it, or pandas."""

from __future__ import annotations

import pandas

# Where pyarrow is installed, pandas would keep texts in its form and hand regular expressions to RE2; the compiled
# rules are Python's.
pandas.set_option("mode.string_storage", "python")
