() => {
  // Of a double click, the second click must not analyse, save or choose once more.
  const once = '#single-analyze, #batch-analyze, .pc-example, [data-action], [data-file]';
  document.addEventListener('click', (event) => {
    if (event.detail > 1 && event.target.closest(once)) {
      event.stopImmediatePropagation();
      event.preventDefault();
    }
  }, true);

  window.pneumocascade = {
    // What is shown of a film while another answer, or another film, is on its way.
    stale(prefix, on) {
      for (const part of ['verdict', 'pictures', 'saliency', 'steps', 'quality', 'plots']) {
        document.getElementById(`${prefix}-${part}`)?.classList.toggle('pc-stale', on);
      }
    },
  };
}
