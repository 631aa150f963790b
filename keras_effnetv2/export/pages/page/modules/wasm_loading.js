/**
 * What LiteRT.js takes of @litertjs/wasm-utils, for a worker: the WebAssembly beside its
 * script, threads that begin with the same script, and a quiet console.
 */
export async function createWasmLib(Library, script) {
  importScripts(script);
  const folder = script.slice(0, script.lastIndexOf("/") + 1);
  const lines = [];
  try {
    const module = await self.ModuleFactory({
      locateFile: (name) => folder + name,
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
