// A click on a column's title sorts the rows below each heading by it, best first; a third click restores the order.
document.querySelectorAll("table.sortable").forEach((table) => {
  const titles = table.tHead.rows[table.tHead.rows.length - 1].cells;
  const bodies = [...table.tBodies].map((body) => ({ body, rows: [...body.rows].filter((row) => row.className !== "heading") }));
  [...titles].forEach((title, column) => {
    if (column === 0) return;
    const falling = !title.textContent.includes("↓");
    const sort = () => {
      const state = { none: "best", best: "worst", worst: "none" }[title.dataset.sorted || "none"];
      [...titles].forEach((each) => { each.dataset.sorted = "none"; each.removeAttribute("aria-sort"); });
      title.dataset.sorted = state;
      if (state !== "none") title.setAttribute("aria-sort", falling === (state === "best") ? "descending" : "ascending");
      const sign = falling === (state === "best") ? -1 : 1;
      const number = (row) => parseFloat(row.cells[column].dataset.value);
      bodies.forEach(({ body, rows }) => {
        const order = [...rows];
        // a row without a value stays last, whichever the direction
        if (state !== "none") order.sort((a, b) => {
          const [x, y] = [number(a), number(b)];
          return Number.isNaN(x) || Number.isNaN(y) ? Number.isNaN(x) - Number.isNaN(y) : sign * (x - y);
        });
        order.forEach((row) => body.append(row));
      });
    };
    title.tabIndex = 0;
    title.addEventListener("click", sort);
    title.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); }
    });
  });
});
