// `shifts` has what jumped. No sound without a gesture. What goes to the loudspeaker goes by here: `heard` has the times of clicks, left
// and right, since `listen()`; `loudest()` is a tone, `blocks(clickAt)` has the mean squares of each 400 ms since `record()`, by a click at
// that time of the film.
(() => {
  window.shifts = [];
  const where = ({ x, y, height }) => `${Math.round(x)},${Math.round(y)},${Math.round(height)}`;
  new PerformanceObserver((list) => {
    for (const { hadRecentInput, sources } of list.getEntries()) {
      if (hadRecentInput) continue;
      for (const { node, previousRect, currentRect } of sources) {
        shifts.push(`jumped: ${(node?.outerHTML ?? node?.textContent ?? "").slice(0, 80)} ${where(previousRect)} ${where(currentRect)}`);
      }
    }
  }).observe({ type: "layout-shift", buffered: true });
  let touched = false; // whatever Playwright evaluates counts as a gesture in chromium: the rule is kept here
  for (const name of ["pointerdown", "keydown"]) addEventListener(name, () => (touched = true), true);
  Object.defineProperty(Navigator.prototype, "userActivation", { get: () => ({ isActive: touched }) });
  const play = HTMLMediaElement.prototype.play;
  HTMLMediaElement.prototype.play = function () {
    return touched || this.muted ? play.call(this) : Promise.reject(new DOMException("no gesture", "NotAllowedError"));
  };
  const connect = AudioNode.prototype.connect;
  window.listen = () => { window.heard = [[], []]; };
  window.record = () => { window.recorded = [[], []]; };
  window.blocks = (clickAt) => {
    const sides = window.recorded.map((pieces) => pieces.flatMap((piece) => [...piece]));
    const { sampleRate } = window.analyser.context;
    const begin = sides[0].findIndex((sample) => Math.abs(sample) > 0.3) - Math.round(clickAt * sampleRate);
    const length = Math.round(0.4 * sampleRate);
    return sides.map((samples) =>
      Array.from({ length: Math.floor((samples.length - begin) / length) }, (_, i) =>
        samples.slice(begin + i * length, begin + (i + 1) * length).reduce((sum, one) => sum + one * one, 0) / length));
  };
  window.loudest = () => {
    const bins = new Float32Array(window.analyser.frequencyBinCount);
    window.analyser.getFloatFrequencyData(bins);
    const top = bins.indexOf(Math.max(...bins));
    return { hz: (top * window.analyser.context.sampleRate) / window.analyser.fftSize, db: bins[top] };
  };
  AudioNode.prototype.connect = function (to, ...rest) {
    if (to instanceof AudioDestinationNode && to.context instanceof AudioContext) {
      const context = to.context;
      if (!context.tap) {
        context.tap = context.createScriptProcessor(2048, 2, 2);
        context.tap.onaudioprocess = ({ inputBuffer, playbackTime }) => {
          for (const side of window.recorded ? [0, 1] : []) window.recorded[side].push(inputBuffer.getChannelData(side).slice());
          for (const side of window.heard ? [0, 1] : []) {
            const [samples, clicks] = [inputBuffer.getChannelData(side), window.heard[side]];
            for (let i = 0; i < samples.length; i++) {
              const at = playbackTime + i / context.sampleRate;
              if (Math.abs(samples[i]) > 0.1 && at > (clicks.at(-1) ?? 0) + 0.1) clicks.push(at);
            }
          }
        };
        connect.call(context.tap, to);
        window.analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
      }
      connect.call(this, context.tap);
      connect.call(this, window.analyser);
    }
    return connect.call(this, to, ...rest);
  };
})();
