/** Keeps the site for offline use, and adds the headers for threads to its responses. */
importScripts("files.js"); // `self.SITE`: a version, and the files to store at once.

const PREFIX = `classifier ${self.registration.scope} `;
const NAME = PREFIX + self.SITE.version;
// Browsers allow threads only with both.
const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(keepAll(["./", ...self.SITE.files]));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(removeOthers().then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const isOurs = request.url.startsWith(self.registration.scope);
  if (request.method === "GET" && isOurs) event.respondWith(answer(request));
});

async function keepAll(files) {
  const cache = await caches.open(NAME);
  // Bypasses the browser's own cache, which may hold files of an older site.
  await cache.addAll(files.map((file) => new Request(file, { cache: "reload" })));
}

async function removeOthers() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && name !== NAME);
  await Promise.all(old.map((name) => caches.delete(name)));
}

async function answer(request) {
  const cache = await caches.open(NAME);
  const isAnew = request.cache === "reload";
  const kept = isAnew ? null : await cache.match(request, { ignoreSearch: true });
  if (kept) return isolated(kept);
  const fresh = await fetch(request);
  // Model and engine: stored on request, as each browser needs only one engine.
  if (fresh.status === 200) cache.put(request, fresh.clone()).catch(() => {});
  return isolated(fresh);
}

function isolated(response) {
  if (response.type === "opaque" || response.status === 0) return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}
