// A table of any length: only the rows in sight exist, and they are written anew as it scrolls.

import { nextFrame } from "/assets/frame.js";
import { element, resize, setText } from "/assets/text.js";

const ROW_HEIGHT = 34;
const ROWS_AROUND = 4;

export class Grid {
  #scroller;
  #columns;
  #onSelect;
  #table = element("table", "data grid");
  #body = element("tbody");
  #above = element("tbody", "spacer");
  #below = element("tbody", "spacer");
  #rows = [];
  #shown = [];
  #query = "";
  #sort;
  #active = null;
  #selected = null;

  /**
   * `columns`: {key, title, className, make(cell), write(cell, row), value(row)}; without `value` a column cannot be
   * sorted by. Every row has a `symbol`. `sort`: {key, descending}, or null for the order in which rows are given.
   */
  constructor(scroller, { caption, columns, sort, onSelect, describedBy = "" }) {
    this.#scroller = scroller;
    this.#columns = columns;
    this.#sort = sort;
    this.#onSelect = onSelect;
    if (describedBy) {
      this.#table.setAttribute("aria-describedby", describedBy);
    }
    for (const spacer of [this.#above, this.#below]) {
      spacer.setAttribute("aria-hidden", "true");
      spacer.append(element("tr"));
      spacer.firstChild.append(element("td"));
    }
    this.#table.append(element("caption", "visually-hidden", caption), this.#head(), this.#above, this.#body, this.#below);
    scroller.append(this.#table);
    scroller.addEventListener("scroll", () => nextFrame(this.draw), { passive: true });
    new ResizeObserver(() => nextFrame(this.draw)).observe(scroller);
    this.#body.addEventListener("keydown", (event) => this.#onKey(event));
    this.#body.addEventListener("click", (event) => this.#choose(event.target.closest("tr")));
    this.#body.addEventListener("focusin", (event) => {
      this.#active = event.target.closest("tr").dataset.symbol;
    });
  }

  /** All rows; sorts and filters them anew. */
  setRows(rows) {
    this.#rows = rows;
    this.#arrange();
  }

  /** Shows symbols that contain `query` only. */
  search(query) {
    this.#query = query.trim().toLowerCase();
    this.#scroller.scrollTop = 0;
    this.#arrange();
  }

  /** Marks the row of a symbol. */
  select(symbol) {
    this.#selected = symbol;
    nextFrame(this.draw);
  }

  get shown() {
    return this.#shown.length;
  }

  /** The rows in sight, for what is loaded for these only. */
  inSight() {
    const [first, count] = this.#range();
    return this.#shown.slice(first, first + count);
  }

  /** Writes the rows in sight; give it to `nextFrame` when their content has changed. */
  draw = () => {
    const [first, count] = this.#range();
    resize(this.#body, count, () => this.#makeRow());
    this.#above.firstChild.firstChild.style.height = `${first * ROW_HEIGHT}px`;
    this.#below.firstChild.firstChild.style.height = `${(this.#shown.length - first - count) * ROW_HEIGHT}px`;
    this.#above.hidden = first === 0;
    this.#below.hidden = first + count >= this.#shown.length;
    this.#table.setAttribute("aria-rowcount", String(this.#shown.length + 1));
    const hadFocus = this.#body.contains(document.activeElement);
    for (let i = 0; i < count; i += 1) {
      this.#writeRow(this.#body.children[i], this.#shown[first + i], first + i);
    }
    this.#keepFocus(hadFocus);
  };

  #head() {
    const row = element("tr");
    for (const column of this.#columns) {
      const cell = element("th", column.className);
      cell.scope = "col";
      if (column.value) {
        const button = element("button", "sort", column.title);
        button.type = "button";
        button.addEventListener("click", () => this.#sortBy(column));
        cell.append(button);
      } else {
        cell.textContent = column.title;
      }
      row.append(cell);
    }
    const head = element("thead");
    head.append(row);
    return head;
  }

  #sortBy(column) {
    const same = this.#sort?.key === column.key;
    this.#sort = { key: column.key, descending: same ? !this.#sort.descending : Boolean(column.descendsFirst) };
    this.#arrange();
  }

  #arrange() {
    const found = this.#query ? this.#rows.filter((row) => row.symbol.toLowerCase().includes(this.#query)) : [...this.#rows];
    const column = this.#sort && this.#columns.find(({ key }) => key === this.#sort.key);
    if (column) {
      const sign = this.#sort.descending ? -1 : 1;
      const order = found.map((row) => [column.value(row), row]);
      order.sort(([a], [b]) => compare(a, b, sign));
      this.#shown = order.map(([, row]) => row);
    } else {
      this.#shown = found;
    }
    this.#columns.forEach(({ key, value }, i) => {
      if (value) {
        const said = this.#sort?.key !== key ? "none" : this.#sort.descending ? "descending" : "ascending";
        this.#table.tHead.rows[0].cells[i].setAttribute("aria-sort", said);
      }
    });
    nextFrame(this.draw);
  }

  #range() {
    const first = Math.max(0, Math.floor(this.#scroller.scrollTop / ROW_HEIGHT) - ROWS_AROUND);
    const fitting = Math.ceil(this.#scroller.clientHeight / ROW_HEIGHT) + 2 * ROWS_AROUND;
    const start = Math.min(first, Math.max(0, this.#shown.length - fitting));
    return [start, Math.min(fitting, this.#shown.length - start)];
  }

  #makeRow() {
    const row = element("tr");
    for (const [i, column] of this.#columns.entries()) {
      const cell = element(i === 0 ? "th" : "td", column.className);
      if (i === 0) {
        cell.scope = "row";
      }
      column.make?.(cell);
      row.append(cell);
    }
    return row;
  }

  #writeRow(node, row, index) {
    node.dataset.symbol = row.symbol;
    node.setAttribute("aria-rowindex", String(index + 2));
    if (row.symbol === this.#selected) {
      node.setAttribute("aria-current", "true");
    } else {
      node.removeAttribute("aria-current");
    }
    this.#columns.forEach((column, i) => column.write(node.cells[i], row));
  }

  // One row can be reached by Tab: the active one, or the first in sight. Rows move under the focus while the table
  // scrolls and sorts, so the focus follows its symbol as long as that is in sight.
  #keepFocus(hadFocus) {
    const nodes = [...this.#body.children];
    const active = nodes.find((node) => node.dataset.symbol === this.#active);
    if (hadFocus && active && active !== document.activeElement) {
      active.focus({ preventScroll: true });
    } else if (hadFocus && !active) {
      this.#active = document.activeElement.closest("tr")?.dataset.symbol ?? null;
    }
    const reached = active ?? nodes.find((node) => node.dataset.symbol === this.#selected) ?? nodes[0];
    for (const node of nodes) {
      node.tabIndex = node === reached ? 0 : -1;
    }
  }

  #onKey(event) {
    const page = Math.max(1, Math.floor(this.#scroller.clientHeight / ROW_HEIGHT) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) {
      event.preventDefault();
      this.#move(steps[event.key]);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.#choose(event.target.closest("tr"));
    }
  }

  #move(step) {
    const from = this.#shown.findIndex((row) => row.symbol === this.#active);
    const to = Math.min(this.#shown.length - 1, Math.max(0, from + step));
    this.#active = this.#shown[to].symbol;
    const head = this.#table.tHead.offsetHeight;
    const room = this.#scroller.clientHeight - head - ROW_HEIGHT;
    const top = to * ROW_HEIGHT;
    this.#scroller.scrollTop = Math.min(top, Math.max(this.#scroller.scrollTop, top - room));
    this.draw();
  }

  #choose(node) {
    if (node) {
      this.#onSelect(node.dataset.symbol);
    }
  }
}

/** A column that shows text; `say(row)` makes it. */
export function textColumn(key, title, className, say, value, more = {}) {
  return { key, title, className, value, write: (cell, row) => setText(cell, say(row)), ...more };
}

// What is not known stands at the end, whichever way it is sorted.
function compare(a, b, sign) {
  if (a === b) {
    return 0;
  }
  if (a === null || b === null) {
    return a === null ? 1 : -1;
  }
  return (a < b ? -1 : 1) * sign;
}
