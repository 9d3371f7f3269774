// The table of rows: details open by a click, columns sort, outcomes are filtered.
(() => {
const table = document.getElementById('results-table');
let rows = [...table.tBodies];

const detail = (row) => row.querySelector('.extras-row');

// An excerpt of evidence stands in the page once; each row that rests on it gets a copy.
function toggle(row, show) {
  for (const place of show ? row.querySelectorAll('[data-reading]') : []) {
    place.append(document.getElementById(place.dataset.reading).content.cloneNode(true));
    place.removeAttribute('data-reading');
  }
  detail(row).classList.toggle('hidden', !show);
  row.classList.toggle('open', show);
}

function draw() {
  const chosen = new Set([...document.querySelectorAll('input[data-test-result]:checked')].map(
    box => box.dataset.testResult));
  const visible = rows.filter(row => chosen.has(row.dataset.outcome));
  rows.forEach(row => row.remove());
  table.append(...visible);
  document.getElementById('nothing').classList.toggle('hidden', visible.length > 0);
}

function sort(head) {
  const ascending = !head.classList.contains('asc');
  table.querySelectorAll('th').forEach(other => other.classList.remove('asc', 'desc'));
  head.classList.add(ascending ? 'asc' : 'desc');
  const key = (row) => {
    const cell = row.querySelector('.col-' + head.dataset.columnType);
    return 'key' in cell.dataset ? Number(cell.dataset.key) : cell.textContent.trim();
  };
  const keyed = rows.map(row => [key(row), row]);
  const order = ascending ? 1 : -1;
  keyed.sort(([a], [b]) => (a < b ? -order : a > b ? order : 0));
  rows = keyed.map(([, row]) => row);
  draw();
}

// A link of the matrix opens its row, also one that the filters hide.
function reveal(hash) {
  const row = rows.find(each => each.id === decodeURIComponent(hash.slice(1)));
  if (!row) return;
  toggle(row, true);
  if (!row.isConnected) {
    document.querySelector(`input[data-test-result="${row.dataset.outcome}"]`).checked = true;
    draw();
  }
}

table.addEventListener('click', ({target}) => {
  const head = target.closest('th.sortable');
  const line = target.closest('.collapsible');
  if (head) sort(head);
  if (line) toggle(line.parentElement, detail(line.parentElement).classList.contains('hidden'));
});
const all = (show) => rows.filter(row => row.isConnected).forEach(row => toggle(row, show));
document.getElementById('show_all_details').addEventListener('click', () => all(true));
document.getElementById('hide_all_details').addEventListener('click', () => all(false));
document.querySelectorAll('input[data-test-result]').forEach(
  box => box.addEventListener('change', draw));
document.querySelector('.matrix')?.addEventListener('click', ({target}) => {
  const link = target.closest('a[href]');
  if (link) reveal(link.hash);
});
reveal(location.hash);
})();
