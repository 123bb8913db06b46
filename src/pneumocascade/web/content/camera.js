// A picture of the camera becomes an upload; the camera is on only while the dialog is open.
const part = (name) => element.querySelector(name);
const button = (name) => part(`[data-camera="${name}"]`);
let stream = null;

const stop = () => {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  part('video').srcObject = null;
  button('take').disabled = true;
};

const open = async () => {
  const dialog = part('dialog');
  part('[data-camera-failed]').hidden = true;
  dialog.onclose = stop;
  dialog.showModal();
  try {
    const found = await navigator.mediaDevices.getUserMedia({
      video: {facingMode: 'environment', width: {ideal: 1920}, height: {ideal: 1440}},
    });
    stream = found;
    if (!dialog.open) return stop();  // closed while the browser asked
    part('video').srcObject = found;
    await part('video').play();
    button('take').disabled = false;
  } catch {
    part('[data-camera-failed]').hidden = false;
  }
};

const take = () => {
  const video = part('video');
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext('2d').drawImage(video, 0, 0);
  canvas.toBlob((blob) => {
    const input = document.querySelector(`#${part('dialog').dataset.upload} input[type="file"]`);
    const given = new DataTransfer();
    given.items.add(new File([blob], 'camera.png', {type: 'image/png'}));
    part('dialog').close();
    if (!input) return;
    input.files = given.files;
    input.dispatchEvent(new Event('change', {bubbles: true}));
  }, 'image/png');
};

element.addEventListener('click', (event) => {
  const name = event.target.closest('[data-camera]')?.dataset.camera;
  if (name === 'open') open();
  if (name === 'take') take();
  if (name === 'close') part('dialog').close();
});

if (navigator.mediaDevices?.getUserMedia) part('[data-camera-there]').hidden = false;
