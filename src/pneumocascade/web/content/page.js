() => {
  const _ = window.pneumocascade.gettext;

  // Of a double click, the second click must not analyse, save or choose once more.
  const once = '#single-analyze, #batch-analyze, #batch-sample, .pc-example, [data-action], [data-file]';
  document.addEventListener('click', (event) => {
    if (event.detail > 1 && event.target.closest(once)) {
      event.stopImmediatePropagation();
      event.preventDefault();
    }
  }, true);

  const parts = ['verdict', 'pictures', 'saliency', 'steps', 'quality', 'plots', 'gallery', 'table'];
  Object.assign(window.pneumocascade, {
    // What is shown of a film while another answer, or another film, is on its way.
    stale(prefix, on) {
      for (const part of parts) {
        document.getElementById(`${prefix}-${part}`)?.classList.toggle('pc-stale', on);
      }
    },
  });

  // The switch loads the page in the other language, which forgets the films that were given to it.
  document.addEventListener('change', (event) => {
    const choice = event.target.closest('[data-language]');
    if (!choice) return;
    const given = document.querySelector('#single-upload .file-preview, #batch-upload .file-preview');
    const question = _('The page is loaded again in the other language. Films that were given to it must be given again.');
    if (!given || window.confirm(question)) window.pneumocascade.speak(choice.value);
    else choice.value = [...choice.options].find((option) => option.defaultSelected).value;
  });

  // Tabs: arrow keys, Home and End move between them (WAI-ARIA, pattern "Tabs").
  const tabs = () => [...document.querySelectorAll('#tabs [role="tab"]')].filter((tab) => tab.offsetParent);
  document.addEventListener('keydown', (event) => {
    const here = tabs().indexOf(event.target);
    if (here < 0) return;
    const last = tabs().length - 1;
    const next = {ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: last}[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const tab = tabs()[(next + last + 1) % (last + 1)];
    tab.focus();
    tab.click();
  });

  // The address names tab and settings, and never a film: a link to it opens the page the same way.
  const names = ['single', 'batch', 'about'];
  const remember = () => setTimeout(() => {
    const tab = names[tabs().findIndex((each) => each.getAttribute('aria-selected') === 'true')] ?? 'single';
    const settings = tab === 'about' ? 'single' : tab;
    const point = document.querySelector(`#${settings}-point input:checked`)?.value;
    const prior = document.querySelector(`#${settings}-prior input[type="number"]`)?.value;
    const address = new URL(location.href);
    for (const [name, value] of Object.entries({tab, point, prior})) {
      if (value) address.searchParams.set(name, value);
    }
    history.replaceState(history.state, '', address);
  }, 50);
  document.addEventListener('click', (event) => {
    if (event.target.closest('#tabs [role="tab"]')) remember();
  });
  document.addEventListener('input', (event) => {
    if (event.target.closest('#single-point, #single-prior, #batch-point, #batch-prior')) remember();
  });

  // Gradio's names of the upload's buttons: one lacks its translation, another leaves out the text that is seen.
  const name = () => {
    for (const button of document.querySelectorAll('[aria-label="common.upload"]')) {
      // A button around a button: the inner one is the control.
      button.setAttribute('aria-label', _('Add films'));
      button.setAttribute('title', _('Add films'));
      button.setAttribute('role', 'group');
      button.setAttribute('tabindex', '-1');
      button.querySelector('button')?.setAttribute('aria-label', _('Add films'));
    }
    for (const button of document.querySelectorAll('button.upload-container')) {
      const seen = button.innerText.replace(/\s+/g, ' ').trim();
      if (seen && button.getAttribute('aria-label') !== seen) button.setAttribute('aria-label', seen);
    }
  };
  let waiting = false;
  new MutationObserver(() => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => { waiting = false; name(); }, 100);
  }).observe(document.body, {childList: true, subtree: true});
  name();

  // A picture that is pasted becomes an upload of the tab that is open.
  document.addEventListener('paste', (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    const input = ['single', 'batch']
      .map((prefix) => document.querySelector(`#${prefix}-upload`))
      .find((upload) => upload?.offsetParent)?.querySelector('input[type="file"]');
    if (!files.length || !input) return;
    const given = new DataTransfer();
    for (const file of input.multiple ? files : files.slice(0, 1)) given.items.add(file);
    input.files = given.files;
    input.dispatchEvent(new Event('change', {bubbles: true}));
    event.preventDefault();
  });
}
