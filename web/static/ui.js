// Progressive enhancement only: every action here is also a link or a form. No dependency.
(() => {
  const d = document, root = d.documentElement;
  const $ = (s, p = d) => p.querySelector(s), $$ = (s, p = d) => [...p.querySelectorAll(s)];
  const cookie = (name, value) => { d.cookie = `${name}=${value};path=/;max-age=31536000;samesite=lax`; };
  // The reader's zone, unless one was chosen in the settings: the next page uses it.
  const held = /(?:^|; )zone=([^;]*)/.exec(d.cookie)?.[1];
  if (!held || held.startsWith('auto')) {
    const off = -new Date().getTimezoneOffset(), abs = Math.abs(off), two = n => String(n).padStart(2, '0');
    cookie('zone', `auto${off < 0 ? '-' : '+'}${two(abs / 60 | 0)}:${two(abs % 60)}`);
  }
  // The server writes data-theme from the cookie, so nothing flashes; this only spares the round trip.
  $('[data-theme-toggle]')?.addEventListener('submit', e => {
    e.preventDefault();
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme:dark)').matches;
    cookie('theme', root.dataset.theme = dark ? 'light' : 'dark');
  });
  if (navigator.clipboard) $$('[data-copy]').forEach(b => { b.hidden = false; });
  d.addEventListener('click', e => {
    const c = e.target.closest('[data-copy]'); if (c) navigator.clipboard.writeText(c.dataset.copy).then(() => { c.textContent = '✓'; });
    for (const p of $$('details.pop[open]')) if (!p.contains(e.target)) p.open = false;
  });
  // Rows: roving focus over the waterfall's treegrid or the first table of links.
  const grid = $('[role=treegrid]'), rows = () => $$(grid ? '.wr' : '.tb tbody tr:not(.day)');
  let at = rows().findIndex(r => r.getAttribute('aria-selected') === 'true');
  const link = r => $('a.s, a.row', r), go = i => {
    const R = rows(); if (!R.length) return; at = Math.max(0, Math.min(R.length - 1, i));
    const a = link(R[at]) || $('a', R[at]); if (a) a.focus({ preventScroll: true }); R[at].scrollIntoView({ block: 'nearest' });
  };
  const step = (sel, dir, more) => { const R = rows(); for (let i = at + dir; i >= 0 && i < R.length; i += dir) if ($(sel, R[i])) return go(i); $(more)?.click(); };
  const lvl = r => +r.getAttribute('aria-level') || 0, parent = () => { const R = rows(); for (let i = at - 1; i >= 0; i--) if (lvl(R[i]) < lvl(R[at])) return go(i); };
  const fold = open => { const r = rows()[at]; if (!r) return; if (r.getAttribute('aria-expanded') === String(!open)) $('a.tw', r)?.click(); else if (open) go(at + 1); else parent(); };
  const keys = {
    j: () => go(at + 1), k: () => go(at - 1), ArrowDown: () => grid ? go(at + 1) : false, ArrowUp: () => grid ? go(at - 1) : false,
    ArrowLeft: () => grid ? fold(false) : false, ArrowRight: () => grid ? fold(true) : false, h: () => fold(false), l: () => fold(true),
    e: () => step('.eo', 1, '[data-next-error]'), E: () => step('.eo', -1, '[data-previous-error]'), n: () => step('.cp', 1), N: () => step('.cp', -1),
    y: () => navigator.clipboard?.writeText(location.href), '/': () => $('#q') ? $('#q').focus() : location.assign('/requests'), g: () => $('#jump')?.focus(), '?': () => location.assign('/settings#keys'),
  };
  d.addEventListener('keydown', e => { // WCAG 2.1.4: single keys can be switched off in the settings (data-keys=off)
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key === 'Escape') { $$('details.pop[open]').forEach(p => { p.open = false; }); d.activeElement?.blur(); return; }
    if (root.dataset.keys === 'off' || /^(input|textarea|select)$/i.test(e.target.tagName)) return;
    const f = Object.hasOwn(keys, e.key) ? keys[e.key] : () => { const a = $(`[data-key="${CSS.escape(e.key)}"]`); if (a) a.click(); else return false; };
    if (f() !== false) e.preventDefault();
  });
  // Dragging over a chart fills in what the form would: a time range, or a part of the waterfall.
  for (const p of $$('[data-brush],[data-brush-zoom]')) {
    const box = $('.sel', p); let a = null; const pt = e => { const r = p.getBoundingClientRect(); return Math.max(0, Math.min(1, (e.clientX - r.left) / r.width)); };
    p.addEventListener('pointerdown', e => { if (e.button) return; a = pt(e); p.setPointerCapture(e.pointerId); });
    p.addEventListener('pointermove', e => { if (a === null) return; const b = pt(e); box.setAttribute('x', `${(Math.min(a, b) * 100).toFixed(2)}%`); box.setAttribute('width', `${(Math.abs(a - b) * 100).toFixed(2)}%`); });
    p.addEventListener('pointercancel', () => { a = null; box.setAttribute('width', 0); });
    p.addEventListener('pointerup', e => {
      if (a === null) return; const b = pt(e), lo = Math.min(a, b), hi = Math.max(a, b); a = null; if (hi - lo < .005) { box.setAttribute('width', 0); return; }
      if (p.dataset.total) { const f = $('form[data-zoom]'), T = +p.dataset.total; f.t0.value = (lo * T).toFixed(3); f.t1.value = (hi * T).toFixed(3); f.submit(); return; }
      const u = new URL(location.href), from = +p.dataset.from, to = +p.dataset.to, put = (k, v) => u.searchParams.set(k, new Date(from + v * (to - from)).toISOString());
      u.searchParams.delete('t'); u.searchParams.delete('cursor'); put('from', lo); put('to', hi); location.assign(u);
    });
  }
  // The page that shows how to send a first request looks for it, and opens when it is there.
  const watch = $('[data-watch]');
  if (watch) setInterval(async () => { if (d.hidden) return; try { const r = await fetch(watch.dataset.watch); if (r.ok && !(await r.text()).includes('data-watch')) location.reload(); } catch { /* the server is away: look again later */ } }, 3000);
  // A span picked by its link is in the panel; bring its row into view.
  if (at >= 0) rows()[at].scrollIntoView({ block: 'nearest' });
})();
