// The second click of a double click belongs to what was clicked first. What came under the pointer in between was not meant.

const DOUBLE_MAX_MS = 500;
const DOUBLE_MAX_PIXELS = 8;

// Whether two elements are the same control, perhaps drawn anew meanwhile.
const isSame = (one, other) => one === other || (one.id !== "" && one.id === other.id);

let last = null;

// Begins to leave such clicks out.
export function leaveOut() {
  addEventListener("click", onClick, { capture: true });
}

function onClick(event) {
  // A key clicks, too, and has no place.
  if (event.detail === 0) {
    return;
  }
  const control = event.target.closest("a, button, input, select, label") ?? event.target;
  const isNear = last && Math.hypot(event.clientX - last.x, event.clientY - last.y) <= DOUBLE_MAX_PIXELS;
  if (isNear && event.timeStamp - last.time <= DOUBLE_MAX_MS && !isSame(control, last.control)) {
    event.preventDefault();
    event.stopPropagation();
    return;
  }
  last = { control, x: event.clientX, y: event.clientY, time: event.timeStamp };
}
