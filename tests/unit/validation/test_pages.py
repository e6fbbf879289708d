"""Pages of Great Expectations lose whatever would ask another host or run."""

from __future__ import annotations

import pytest

from data_collector.validation.audit.pages import offline

INDEX = """<html><head><style>a { background: url('https://else.example/x.png') } @import "x.css";</style></head><body>
<table
  id="some-table"
  class="t"
>
</table>
<script>
  $('#some-table').bootstrapTable(
    Object.assign(
      {
        columns: [{'field': 'run_time', 'title': 'Run Time'}, {'field': 'ok', 'title': 'Status'}],
        data: [{'run_time': '12:00', 'ok': True, '_table_row_link_path': 'a/b.html'}],
        toolbar: '#x'
      }))
</script></body></html>"""


def test_tables_that_a_script_would_fill_are_filled() -> None:
    page = offline(INDEX, "")

    assert "<th>Run Time</th><th>Status</th>" in page
    assert '<td><a href="a/b.html">12:00</a></td><td>True</td>' in page
    assert "<script" not in page
    assert "bootstrapTable" not in page


def test_own_style_sheets_are_first_and_last_of_the_head() -> None:
    page = offline(INDEX, "../../")

    assert '<head><link rel="stylesheet" href="../../assets/bootstrap.min.css">' in page
    assert '<link rel="stylesheet" href="../../assets/site.css"></head>' in page
    assert "else.example" not in page
    assert "@import" not in page


@pytest.mark.parametrize(
    "part",
    [
        '<script src="https://else.example/x.js"></script>',
        "<SCRIPT>alert(1)</SCRIPT>",
        '<link rel="stylesheet" href="https://else.example/x.css">',
        '<img class="NO-CACHE" src="https://else.example/logo.png?d=1"/>',
        '<img src="//else.example/x.png">',
        '<img src=" https://else.example/x.png">',
        '<p style="background: url(https://else.example/x)">',
        '<p onclick="alert(1)">',
        '<a href="javascript:alert(1)">',
        '<a href="https://else.example" target="_blank" ping="https://else.example">',
        '<iframe src="x.html">else.example</iframe>',
        '<base href="https://else.example/">',
        '<meta http-equiv="refresh" content="0; url=x">',
        '<form action="https://else.example"><input type="image" src="https://else.example/x"></form>',
        '<object data="https://else.example"></object>',
        '<svg><image xlink:href="https://else.example/x"></image></svg>',
        '<video poster="https://else.example/x"><source src="https://else.example/y"></video>',
        "<footer>Subscribe at else.example</footer>",
    ],
)
def test_nothing_leads_elsewhere_or_runs(part: str) -> None:
    page = offline(f"<html><head></head><body>{part}<b>kept</b></body></html>", "")

    for word in ("else.example", "alert", "refresh", "script"):
        assert word not in page.lower().replace("http-equiv", "")
    assert "<b>kept</b>" in page


def test_the_rest_stays_as_it_is() -> None:
    body = '<p id="a" class="b c">1 &lt; 2 &amp; 3 &#9731; <a href="../x.html#y">z</a><br></p>'

    assert body in offline(f"<!DOCTYPE html><html><head></head><body>{body}</body></html>", "")
