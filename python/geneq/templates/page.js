// Rows that carry data-key are filtered by the search box; print opens what is folded.
const box = document.getElementById("filter");
if (box) {
  const rows = [...document.querySelectorAll("[data-key]")];
  const shown = document.getElementById("filter-count");
  const filter = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    for (const row of rows) {
      row.hidden = !words.every((word) => row.dataset.key.includes(word));
      if (!row.hidden && row.hasAttribute("data-counted")) n++;
    }
    shown.textContent = words.length ? `${n} shown` : "";
  };
  box.closest("[hidden]").hidden = false;
  box.addEventListener("input", filter);
  filter();
}
// The first press sorts words from A to Z and numbers from the largest.
const compare = (x, y) => (typeof x === "number" ? y - x : x.localeCompare(y));
for (const button of document.querySelectorAll("th button[data-column]")) {
  button.disabled = false;
  button.addEventListener("click", () => {
    const body = button.closest("table").tBodies[0];
    const value = (row) => {
      const cell = row.cells[button.dataset.column];
      return "v" in cell.dataset ? Number(cell.dataset.v || -1e9) : cell.textContent.trim();
    };
    const rows = [...body.rows].sort((a, b) => compare(value(a), value(b)));
    const heading = button.closest("th");
    const again = heading.dataset.pressed === "once";
    if (again) rows.reverse();
    body.append(...rows);
    for (const th of button.closest("tr").cells) {
      th.removeAttribute("aria-sort");
      delete th.dataset.pressed;
    }
    if (!again) heading.dataset.pressed = "once";
    const numeric = "v" in rows[0].cells[button.dataset.column].dataset;
    heading.setAttribute("aria-sort", again === numeric ? "ascending" : "descending");
  });
}
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details")) fold.open = true;
});
