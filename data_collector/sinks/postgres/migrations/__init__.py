"""The tables as numbered steps, `0001_name.sql` and on; a step that was released is never changed."""
