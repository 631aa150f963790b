/**
 * Lets the page work without a network, by its service worker; that also gives it the
 * headers which browsers want to see before they allow threads.
 */
const RELOADED = "reloaded for threads";
const PATIENCE = 5000; // Milliseconds until the page goes on without.

/** Waits until files come by the service worker; says in words how it is. */
export async function workOffline() {
  if (!("serviceWorker" in navigator) || !window.isSecureContext) {
    return "Needs the network: browsers keep pages of https and of this machine alone.";
  }
  const { serviceWorker } = navigator;
  const options = { updateViaCache: "none" };
  if (serviceWorker.controller !== null) {
    // Looks for a new version, which the next visit gets; without a network in vain.
    serviceWorker.register("sw.js", options).catch(() => {});
  } else {
    const taken = new Promise((resolve) => {
      serviceWorker.addEventListener("controllerchange", resolve, { once: true });
    });
    try {
      await serviceWorker.register("sw.js", options);
    } catch (error) {
      return `Needs the network: ${error.message}`;
    }
    await Promise.race([taken, new Promise((end) => setTimeout(end, PATIENCE))]);
  }
  const isReloaded = sessionStorage.getItem(RELOADED) !== null;
  if (serviceWorker.controller !== null && !window.crossOriginIsolated && !isReloaded) {
    sessionStorage.setItem(RELOADED, "yes");
    // Where a browser brings this page back as it is now, it goes on in the same way.
    addEventListener("pageshow", (event) => event.persisted && location.reload());
    location.reload();
    await new Promise(() => {});
  }
  return serviceWorker.controller === null
    ? "Needs the network until it is opened again."
    : "Works without the network from now on.";
}

/** Takes away what another page of this address has left: of `serve`, which is local. */
export async function stayOnline() {
  const found = (await navigator.serviceWorker?.getRegistrations()) ?? [];
  await Promise.all(found.map((x) => x.unregister()));
  return "Served by this machine.";
}
