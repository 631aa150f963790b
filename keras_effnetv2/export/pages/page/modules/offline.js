/**
 * Makes the page work offline, by its service worker, which also adds the headers that
 * browsers require for threads.
 */
const RELOADED = "reloaded for threads";
const PATIENCE = 5000; // Milliseconds to wait for the service worker.

/** Waits until the service worker serves files; returns the state in words. */
export async function workOffline() {
  if (!("serviceWorker" in navigator) || !window.isSecureContext) {
    return "Needs a connection: browsers store only https pages and this machine's.";
  }
  const { serviceWorker } = navigator;
  const options = { updateViaCache: "none" };
  if (serviceWorker.controller !== null) {
    // Looks for a new version for the next visit; offline, nothing happens.
    serviceWorker.register("sw.js", options).catch(() => {});
  } else {
    const taken = new Promise((resolve) => {
      serviceWorker.addEventListener("controllerchange", resolve, { once: true });
    });
    try {
      await serviceWorker.register("sw.js", options);
    } catch (error) {
      return `Needs a connection: ${error.message}`;
    }
    await Promise.race([taken, new Promise((end) => setTimeout(end, PATIENCE))]);
  }
  const isReloaded = sessionStorage.getItem(RELOADED) !== null;
  if (serviceWorker.controller !== null && !window.crossOriginIsolated && !isReloaded) {
    sessionStorage.setItem(RELOADED, "yes");
    // A browser may restore this page as it is now: then it reloads, too.
    addEventListener("pageshow", (event) => event.persisted && location.reload());
    location.reload();
    await new Promise(() => {});
  }
  return serviceWorker.controller === null
    ? "Needs a connection until it is opened again."
    : "Works offline from now on.";
}

/** Removes service workers of other pages at this address; for `serve`, which is local. */
export async function stayOnline() {
  const found = (await navigator.serviceWorker?.getRegistrations()) ?? [];
  await Promise.all(found.map((x) => x.unregister()));
  return "Served by this machine.";
}
