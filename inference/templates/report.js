"use strict";
(() => {
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const root = document.documentElement;
  root.classList.add("scripted");

  // Table: a click on a column's head sorts by it, a second one turns the order round. Empty cells come last.
  for (const table of all("table.sortable")) {
    all("th", table).forEach((head, column) => one("button", head).addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      all("th", table).forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value;
      const numeric = "number" in one("tbody tr", table).cells[column].dataset;
      const order = (a, b) => (numeric ? a - b : a.localeCompare(b, undefined, { numeric: true }));
      const rows = all("tbody tr", table).sort((a, b) => {
        if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === "");
        return (down ? -1 : 1) * order(key(a), key(b));
      });
      one("tbody", table).append(...rows);
    }));
  }

  // Case pages: the address after # says which case is shown.
  const viewer = one("#viewer");
  function show() {
    const sections = all(".case");
    const lone = !one("#cases") && sections.length ? sections[0].dataset.case : null;
    const name = location.hash.startsWith("#case-") ? decodeURIComponent(location.hash.slice(6)) : lone;
    const shown = sections.filter((section) => section.dataset.case === name);
    sections.forEach((section) => section.classList.toggle("shown", shown.includes(section)));
    root.classList.toggle("single", shown.length > 0);
    if (location.hash) scrollTo(0, 0);
    const volumes = shown.length && all(".volumes").find((v) => v.dataset.case === name);
    if (viewer) viewer.hidden = !volumes;
    if (volumes) open(volumes).catch((error) => { one("#state").textContent = `No viewer: ${error.message}`; });
  }

  // Viewer. The program is packed inside the page and unpacked when the first case is looked at.
  let started = null;
  let scene = null;
  let wanted = null;
  const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

  async function start() {
    const packed = new Blob([bytes(one("#niivue").textContent)]).stream();
    const program = document.createElement("script");
    program.textContent = await new Response(packed.pipeThrough(new DecompressionStream("gzip"))).text();
    document.head.append(program);
    if (!document.createElement("canvas").getContext("webgl2")) throw new Error("this browser offers no WebGL2");
    scene = new niivue.Niivue({
      isRadiologicalConvention: true, dragAndDropEnabled: false, isColorbar: false, loadingText: "", sagittalNoseLeft: true,
      crosshairWidthUnit: "percent", crosshairWidth: 0.4, crosshairColor: [1, 0.85, 0.3, 0.8], backColor: [0, 0, 0, 1],
    });
    await scene.attachToCanvas(one("#screen"));
    scene.onLocationChange = describe;
    for (const box of all("[data-layer]", viewer)) box.addEventListener("change", paint);
    one("#opacity").addEventListener("input", paint);
    one("#window").addEventListener("change", darken);
    one("#view").addEventListener("change", () => scene.setSliceType(Number(one("#view").value)));
  }

  const colours = { explanation: "inferno", uncertainty: "viridis", attention: "hot" };

  async function open(volumes) {
    wanted = volumes;
    one("#state").textContent = "Loading …";
    started ??= start();
    await started;
    const loaded = [];
    for (const script of all("script", volumes)) {
      const name = script.dataset.layer;
      const volume = await niivue.NVImage.loadFromBase64({
        base64: script.textContent, name: `${name}.nii.gz`, colormap: colours[name] ?? "gray",
      });
      if (name === "regions") volume.setColormapLabel(regionColours());
      if (name in colours) [volume.cal_min, volume.cal_max] = [0.02 * volume.global_max, volume.global_max];
      loaded.push(volume);
    }
    if (wanted !== volumes) return; // another case was chosen meanwhile
    [...scene.volumes].forEach((volume) => scene.removeVolume(volume));
    loaded.forEach((volume) => scene.addVolume(volume));
    for (const box of all("input[data-layer]", viewer)) box.disabled = !named(box.dataset.layer);
    one("#window").value = volumes.dataset.window;
    one("#window").disabled = one("#window").selectedIndex < 0;
    if (one("#window").selectedIndex >= 0) darken();
    paint();
    scene.scene.crosshairPos = scene.mm2frac(volumes.dataset.centre.split(" ").map(Number));
    scene.drawScene();
    scene.createOnLocationChange();
    one("#screen").dataset.volumes = scene.volumes.length;
    one("#state").textContent = `${scene.volumes.length} volumes of ${volumes.dataset.case}, ${volumes.dataset.step} mm.`;
  }

  const named = (layer) => scene.volumes.find((volume) => volume.name === `${layer}.nii.gz`);

  function paint() {
    for (const box of all("input[data-layer]", viewer)) {
      const volume = named(box.dataset.layer);
      const strength = Number(one("#opacity").value) * (box.dataset.layer === "regions" ? 0.5 : 1);
      if (volume) volume.opacity = box.checked ? strength : 0;
    }
    scene.updateGLVolume();
  }

  // What lies under the cross: value of the image, name of the region, values of the maps.
  function describe(location) {
    const values = location.values.map(({ name, value }) => {
      const layer = name.replace(".nii.gz", "");
      if (layer === "image") return `${+value.toFixed(1)} ${one("#window").disabled ? "" : "HU"}`;
      if (layer !== "regions") return `${layer} ${value.toFixed(2)}`;
      return one(`#region-colours i[data-value="${Math.round(value)}"]`)?.textContent ?? "no region";
    });
    one("#place").textContent = values.join(" · ");
  }

  function darken() {
    const { lower, upper } = one("#window").selectedOptions[0].dataset;
    [scene.volumes[0].cal_min, scene.volumes[0].cal_max] = [Number(lower), Number(upper)];
    scene.updateGLVolume();
  }

  function regionColours() {
    const table = { R: [0], G: [0], B: [0], A: [0], I: [0], labels: [""] };
    for (const region of all("#region-colours i")) {
      const [r, g, b] = [1, 3, 5].map((at) => parseInt(region.dataset.colour.slice(at, at + 2), 16));
      table.R.push(r); table.G.push(g); table.B.push(b); table.A.push(255);
      table.I.push(Number(region.dataset.value));
      table.labels.push(region.textContent);
    }
    return table;
  }

  addEventListener("hashchange", show);
  show();
})();
