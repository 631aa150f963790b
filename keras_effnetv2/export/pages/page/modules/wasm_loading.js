const GZIP = 0x1f8b;

/**
 * What LiteRT.js needs of @litertjs/wasm-utils, for a worker: loads the WebAssembly beside
 * its script, starts threads with the same script, and silences the console.
 */
export async function createWasmLib(Library, script) {
  const wasmBinary = await fetchUnpacked(script.replace(/js$/, "wasm.gz"));
  importScripts(script);
  const lines = [];
  try {
    const module = await self.ModuleFactory({
      wasmBinary,
      mainScriptUrlOrBlob: script,
      print: () => {},
      printErr: (line) => lines.push(line),
    });
    return new Library(module);
  } catch (error) {
    throw new Error([error.message, ...lines.slice(-3)].join(" "));
  } finally {
    self.ModuleFactory = undefined;
  }
}

/** Some servers unpack such files themselves, or have the browser do it. */
async function fetchUnpacked(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: status ${response.status}`);
  const bytes = await response.arrayBuffer();
  if (new DataView(bytes).getUint16(0) !== GZIP) return bytes;
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(unpacked).arrayBuffer();
}
