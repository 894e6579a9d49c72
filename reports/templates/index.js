"use strict";
(function () {
  const find = document.getElementById("find"), trouble = document.getElementById("trouble");
  const rows = Array.from(document.querySelectorAll("#matrix tbody tr"));
  function narrow() {
    const wanted = find.value.trim().toLowerCase();
    for (const row of rows) {
      const bad = Array.from(row.querySelectorAll(".cell")).some((cell) => !["pass", "skipped"].includes(cell.dataset.status));
      row.hidden = (trouble.checked && !bad) || (wanted !== "" && !row.textContent.toLowerCase().includes(wanted));
    }
  }
  find.addEventListener("input", narrow);
  trouble.addEventListener("change", narrow);
  document.getElementById("filter").hidden = false;
})();
