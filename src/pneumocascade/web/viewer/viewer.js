// The full-resolution viewer: a dialog around OpenSeadragon, loaded when it is first opened.
// The film is drawn on a canvas that a linear filter windows; the steps of preprocessing and the saliency
// maps lie over it as pictures of their own, which the filter does not touch.

const _ = window.pneumocascade.gettext;

const LIBRARY = 'openseadragon-6.1.1.min.js';
const PRESETS = [
  [_('Full range'), 0.5, 1],
  [_('Dark parts (lungs)'), 0.3, 0.5],
  [_('Bright parts (bones)'), 0.7, 0.5],
];
const MIN_WIDTH = 0.02;

let loaded;

function load(element) {
  return new Promise((resolve, reject) => {
    element.addEventListener('load', resolve);
    element.addEventListener('error', () => reject(new Error('the viewer could not be loaded')));
    document.head.append(element);
  });
}

// The style sheet, too, must be there first: the film is fitted to the size that it gives the stage.
function loadLibrary() {
  loaded ??= Promise.all([
    load(make('link', { rel: 'stylesheet', href: new URL('viewer.css', import.meta.url) })),
    load(make('script', { src: new URL(LIBRARY, import.meta.url) })),
  ]).catch((error) => {
    loaded = undefined;
    throw error;
  });
  return loaded;
}

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function button(text, title, action) {
  const element = make('button', { type: 'button', title, 'aria-label': title }, text);
  element.addEventListener('click', action);
  return element;
}

function range(label, name, value, action) {
  const input = make('input', { type: 'range', min: 0, max: 100, value, 'data-name': name });
  input.addEventListener('input', () => action(Number(input.value)));
  return make('label', { class: 'pc-viewer-range' }, label, input);
}

// What can be laid over the film: pictures that the tab shows already.
function layersOf(tab) {
  const steps = [...document.querySelectorAll(`#${tab}-steps figure`)].slice(1).map((figure) => ({
    title: figure.querySelector('figcaption').textContent.replace(/^\d+\.\s*/, ''),
    url: figure.querySelector('img').src,
    opacity: 100,
    pixelated: true,
    margin: Number(document.querySelector(`#${tab}-steps [data-margin]`)?.dataset.margin ?? 0),
  }));
  const maps = [...document.querySelectorAll(`#${tab}-saliency img.pc-heat`)].map((image) => ({
    title: _('Saliency map, stage %(stage)s', { stage: image.dataset.stage }),
    url: image.src,
    opacity: 35,
    pixelated: false,
    margin: 0,
  }));
  return [...steps, ...maps];
}

/** Open the viewer on a film. `film` is the address of its picture, `tab` begins the ids of the tab's parts. */
export async function openViewer(film, tab, name) {
  await loadLibrary();
  document.getElementById('pc-viewer')?.remove();
  const layers = layersOf(tab);
  const state = { center: 0.5, width: 1, inverted: false, windowing: false, layer: null, split: 0 };
  const stage = make('div', { class: 'pc-viewer-stage', 'data-stage': '' });
  const status = make('output', { class: 'pc-viewer-status', 'aria-live': 'polite' });
  const transfer = ['R', 'G', 'B'].map((channel) => {
    const part = document.createElementNS('http://www.w3.org/2000/svg', `feFunc${channel}`);
    part.setAttribute('type', 'linear');
    return part;
  });
  const filter = svgFilter(transfer);
  const dialog = make('dialog', { id: 'pc-viewer', 'aria-label': _('Viewer: %(name)s', { name }) });
  const viewer = () => dialog.osd;

  const show = () => {
    const slope = (state.inverted ? -1 : 1) / state.width;
    const low = state.center - state.width / 2;
    const intercept = state.inverted ? 1 + low / state.width : -low / state.width;
    for (const part of transfer) {
      part.setAttribute('slope', slope);
      part.setAttribute('intercept', intercept);
    }
    for (const input of dialog.querySelectorAll('[data-name]')) {
      const shown = { center: state.center, width: state.width, opacity: (state.layer?.opacity ?? 0) / 100, split: state.split };
      input.value = Math.round(100 * shown[input.dataset.name]);
      if (['opacity', 'split'].includes(input.dataset.name)) input.disabled = state.layer === null;
    }
    if (overlay.image) {
      overlay.image.style.opacity = state.layer.opacity / 100;
      overlay.element.style.setProperty('--pc-split', `${100 * state.split}%`);
    }
    const zoom = viewer()?.world.getItemCount() ? viewer().world.getItemAt(0).viewportToImageZoom(viewer().viewport.getZoom(true)) : 1;
    status.textContent =
      _('Zoom %(zoom)s %, window centre %(centre)s %, width %(width)s %', {
        zoom: Math.round(100 * zoom),
        centre: Math.round(100 * state.center),
        width: Math.round(100 * state.width),
      }) + (state.inverted ? _(', inverted') : '');
  };

  const overlay = { element: null, image: null };
  const setLayer = (layer) => {
    state.layer = layer;
    if (overlay.element) viewer().removeOverlay(overlay.element);
    overlay.element = overlay.image = null;
    if (layer) {
      const { x, y } = viewer().world.getItemAt(0).getContentSize();
      const aspect = y / x;
      overlay.image = make('img', { src: layer.url, alt: layer.title });
      if (layer.pixelated) overlay.image.style.imageRendering = 'pixelated';
      overlay.element = make('div', { class: 'pc-viewer-overlay' }, overlay.image);
      const inner = 1 - 2 * layer.margin;
      const place = new OpenSeadragon.Rect(layer.margin, layer.margin * aspect, inner, inner * aspect);
      viewer().addOverlay({ element: overlay.element, location: place });
    }
    show();
  };
  const zoomBy = (factor) => {
    viewer().viewport.zoomBy(factor);
    viewer().viewport.applyConstraints();
  };
  const setWindow = (center, width) => {
    state.center = Math.min(1, Math.max(0, center));
    state.width = Math.min(1, Math.max(MIN_WIDTH, width));
    show();
  };
  const toggle = (element, on) => element.setAttribute('aria-pressed', String(on));

  const invert = button(_('Invert'), _('Invert the grey values (i)'), () => {
    state.inverted = !state.inverted;
    toggle(invert, state.inverted);
    show();
  });
  const windowing = button(_('Drag: window'), _('Dragging changes window centre and width instead of moving the film (w)'), () => {
    state.windowing = !state.windowing;
    toggle(windowing, state.windowing);
    viewer().panHorizontal = viewer().panVertical = !state.windowing;
    stage.classList.toggle('pc-viewer-windowing', state.windowing);
  });
  toggle(invert, false);
  toggle(windowing, false);
  const reset = () => {
    state.inverted = false;
    toggle(invert, false);
    state.split = 0;
    setWindow(0.5, 1);
    viewer().viewport.goHome();
  };
  const full = () => (document.fullscreenElement ? document.exitFullscreen() : dialog.requestFullscreen());
  const choice = make('select', { 'aria-label': _('Shown over the film') }, make('option', { value: '' }, _('Film alone')));
  layers.forEach((layer, index) => choice.append(make('option', { value: index }, layer.title)));
  choice.addEventListener('change', () => setLayer(choice.value === '' ? null : layers[Number(choice.value)]));
  const presets = make('select', { 'aria-label': _('Window preset') });
  PRESETS.forEach(([title], index) => presets.append(make('option', { value: index }, title)));
  presets.addEventListener('change', () => setWindow(...PRESETS[Number(presets.value)].slice(1)));

  const group = (...parts) => make('div', { class: 'pc-viewer-group' }, ...parts);
  dialog.append(
    make(
      'div',
      { class: 'pc-viewer-bar', role: 'toolbar', 'aria-label': _('Viewer') },
      group(
        button('+', _('Zoom in (+)'), () => zoomBy(1.5)),
        button('−', _('Zoom out (-)'), () => zoomBy(1 / 1.5)),
        button('1:1', _('Show each film pixel as one screen pixel (1)'), () => {
          const item = viewer().world.getItemAt(0);
          viewer().viewport.zoomTo(item.imageToViewportZoom(1));
        }),
        button(_('Reset'), _('Whole film, full range (0)'), reset),
        button(_('Full screen'), _('Full screen (s)'), full),
      ),
      group(presets, invert, windowing),
      group(
        range(_('Centre'), 'center', 50, (value) => setWindow(value / 100, state.width)),
        range(_('Width'), 'width', 100, (value) => setWindow(state.center, value / 100)),
      ),
      group(choice),
      group(
        range(_('Opacity'), 'opacity', 0, (value) => {
          state.layer.opacity = value;
          show();
        }),
        range(_('Before / after'), 'split', 0, (value) => {
          state.split = value / 100;
          show();
        }),
      ),
      button(_('Close'), _('Close the viewer (Escape)'), () => dialog.close()),
    ),
    stage,
    status,
    filter,
  );
  document.body.append(dialog);
  dialog.addEventListener('close', () => {
    viewer().destroy();
    dialog.remove();
  });
  dialog.showModal();
  show(); // the line of status takes its height before the film is fitted to the rest

  dialog.osd = OpenSeadragon({
    element: stage,
    tileSources: { type: 'image', url: film },
    drawer: 'canvas',
    showNavigationControl: false,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    maxZoomPixelRatio: 8,
    visibilityRatio: 0.5,
    animationTime: matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : 0.4,
  });
  viewer().addHandler('open', () => {
    viewer().drawer.canvas.style.filter = 'url(#pc-viewer-window)';
    dialog.dataset.ready = 'true';
    show();
  });
  viewer().addHandler('animation', show);
  viewer().addHandler('animation-finish', show);
  viewer().addHandler('canvas-drag', (event) => {
    if (!state.windowing) return;
    event.preventDefaultAction = true;
    setWindow(state.center - event.delta.y / stage.clientHeight, state.width + event.delta.x / stage.clientWidth);
  });
  const keys = { i: () => invert.click(), w: () => windowing.click(), s: full, 0: reset };
  keys['1'] = () => viewer().viewport.zoomTo(viewer().world.getItemAt(0).imageToViewportZoom(1));
  viewer().addHandler('canvas-key', (event) => {
    // OpenSeadragon's own keys turn and mirror the film: a mirrored chest misleads.
    if (['r', 'R', 'f'].includes(event.originalEvent.key)) event.preventDefaultAction = true;
    if (event.originalEvent.key in keys) {
      event.preventDefaultAction = true;
      keys[event.originalEvent.key]();
    }
  });
  const help = _('Arrow keys move, plus and minus zoom, i inverts, w makes dragging change the window, 0 resets.');
  viewer().canvas.setAttribute('aria-label', `${name}. ${help}`);
  viewer().canvas.focus();
}

function svgFilter(parts) {
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  const filter = document.createElementNS(space, 'filter');
  const transfer = document.createElementNS(space, 'feComponentTransfer');
  svg.setAttribute('width', 0);
  svg.setAttribute('height', 0);
  svg.setAttribute('aria-hidden', 'true');
  filter.id = 'pc-viewer-window';
  filter.setAttribute('color-interpolation-filters', 'sRGB');
  transfer.append(...parts);
  filter.append(transfer);
  svg.append(filter);
  return svg;
}
