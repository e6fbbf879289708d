// Drawing happens once per frame, however many events came. A hidden tab has no frames, and nothing piles up for it:
// each function waits at most once, and draws what holds when its frame comes.

const waiting = new Set();
let isAsked = false;

/** Calls `draw` in the next frame, once. */
export function nextFrame(draw) {
  waiting.add(draw);
  if (!isAsked) {
    isAsked = true;
    requestAnimationFrame(run);
  }
}

function run() {
  isAsked = false;
  const draws = [...waiting];
  waiting.clear();
  for (const draw of draws) {
    draw();
  }
}
