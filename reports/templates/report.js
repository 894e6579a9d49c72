"use strict";
(function () {
  const byId = (id) => document.getElementById(id);
  const rows = Array.from(document.querySelectorAll("#events tbody tr"));
  const find = byId("find"), lane = byId("lane"), proofs = byId("proofs"), count = byId("count");

  function narrow() {
    const wanted = find.value.trim().toLowerCase();
    const wholeNumber = /^#?n?\d+$/.test(wanted) ? "n" + wanted.replace(/\D/g, "") : "";
    let shown = 0;
    for (const row of rows) {
      const fits = (!lane.value || row.dataset.lane === lane.value) &&
        (!proofs.checked || row.classList.contains("proves")) &&
        (!wanted || row.id === wholeNumber || row.textContent.toLowerCase().includes(wanted));
      row.hidden = !fits;
      if (fits) shown += 1;
    }
    count.value = shown === rows.length ? "" : shown + " of " + rows.length + " lines";
  }

  function showTarget() {
    const target = location.hash ? byId(decodeURIComponent(location.hash.slice(1))) : null;
    if (!target) return;
    if (target.hidden) { find.value = ""; lane.value = ""; proofs.checked = false; narrow(); }
    for (let outer = target; outer; outer = outer.parentElement) {
      if (outer.tagName === "DETAILS") outer.open = true;
    }
    target.scrollIntoView({ block: "center" });
  }

  function light(number, on) {
    const row = byId("n" + number);
    if (row) row.classList.toggle("lit", on);
  }

  let waiting = 0;
  find.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(narrow, 120); });
  lane.addEventListener("change", narrow);
  proofs.addEventListener("change", narrow);
  byId("filter").hidden = false;
  window.addEventListener("hashchange", showTarget);
  for (const link of document.querySelectorAll("svg a[data-n]")) {
    link.addEventListener("mouseenter", () => light(link.dataset.n, true));
    link.addEventListener("mouseleave", () => light(link.dataset.n, false));
  }
  const copy = byId("copy");
  if (copy && navigator.clipboard) {
    copy.hidden = false;
    copy.addEventListener("click", () => {
      navigator.clipboard.writeText(byId("again").textContent).then(() => { copy.textContent = "Copied"; });
    });
  }
  showTarget();
})();
