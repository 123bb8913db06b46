// Gallery and table of a batch, one selection: clicks, previous and next, arrow keys, sorting.
const all = () => document.querySelectorAll('#batch-results button[data-index]');
const tiles = () => [...document.querySelectorAll('#batch-gallery button[data-index]')];
const chosen = () => tiles().findIndex((tile) => tile.getAttribute('aria-pressed') === 'true');

const choose = (index) => {
  for (const button of all()) {
    const same = Number(button.dataset.index) === index;
    button.setAttribute('aria-pressed', String(same));
    button.closest('tr')?.classList.toggle('pc-current', same);
  }
  const place = document.querySelector('#batch-gallery [data-place]');
  if (place) {
    const values = {place: index + 1, count: tiles().length};
    place.textContent = window.pneumocascade.gettext('%(place)s of %(count)s', values);
  }
  tiles()[index].scrollIntoView({block: 'nearest'});
  trigger('click', {index});
};

const sort = (button) => {
  const head = button.closest('th');
  const up = head.getAttribute('aria-sort') !== 'ascending';
  for (const other of head.parentElement.children) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
  const column = [...head.parentElement.children].indexOf(head);
  const body = head.closest('table').tBodies[0];
  const key = (row) => row.children[column].dataset.key;
  const compare = (a, b) => a.localeCompare(b, undefined, {numeric: true});
  const rows = [...body.rows].sort((a, b) => (up ? 1 : -1) * compare(key(a), key(b)));
  body.append(...rows);
};

element.addEventListener('click', (event) => {
  const step = event.target.closest('[data-step]');
  const header = event.target.closest('[data-sort]');
  const film = event.target.closest('button[data-index], tr[data-index]');
  if (step) {
    const next = chosen() + Number(step.dataset.step);
    if (next >= 0 && next < tiles().length) choose(next);
  } else if (header) sort(header);
  else if (film) choose(Number(film.dataset.index));
});

element.addEventListener('keydown', (event) => {
  const step = {ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1}[event.key];
  if (!step || !event.target.closest('.pc-tile')) return;
  event.preventDefault();
  const next = Math.min(Math.max(chosen() + step, 0), tiles().length - 1);
  tiles()[next].focus();
  choose(next);
});
