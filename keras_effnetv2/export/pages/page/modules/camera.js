/** The camera in a dialog: live bars, and a button to keep a picture. */
import { best, showBars } from "./bars.js";
import { UserError } from "./errors.js";
import { say, wordsOf } from "./messages.js";

// Milliseconds between two classified pictures.
const PAUSE = 100;
const LIVE_CLASSES = 3;

export class Camera {
  /**
   * @param {object} engine the classifier.
   * @param {string[]|null} labels names of its classes.
   * @param {(blob: Blob, name: string) => void} onPicture receives a kept picture.
   */
  constructor(engine, labels, onPicture) {
    this.dialog = document.getElementById("camera");
    this.video = this.dialog.querySelector("video");
    this.bars = this.dialog.querySelector(".bars");
    this.engine = engine;
    this.labels = labels;
    this.count = 0;
    const on = (id, run) => document.getElementById(id).addEventListener("click", run);
    on("open-camera", () => this.open());
    on("close-camera", () => this.dialog.close());
    on("shoot", async () => onPicture(await this.#frame(), `camera ${++this.count}`));
    this.dialog.addEventListener("close", () => this.#stop());
  }

  async open() {
    try {
      await this.#start();
    } catch (error) {
      say(wordsOf(error));
      return;
    }
    this.dialog.showModal();
    while (this.dialog.open) {
      try {
        const { scores } = await this.engine.classify(await this.#frame());
        showBars(this.bars, best(scores, this.labels, LIVE_CLASSES));
      } catch (error) {
        this.dialog.close();
        say(wordsOf(error));
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  async #start() {
    if (!navigator.mediaDevices) {
      throw new UserError("Browsers allow the camera only on https pages and on this machine.");
    }
    try {
      const video = { facingMode: "environment" };
      this.video.srcObject = await navigator.mediaDevices.getUserMedia({ video });
      await this.video.play();
    } catch (error) {
      const reasons = {
        NotAllowedError: "Permission was denied; allow it in the browser's settings for this page.",
        NotFoundError: "None was found.",
        NotReadableError: "Another program is using it.",
      };
      throw new UserError(`No camera. ${reasons[error.name] ?? error.message}`);
    }
  }

  async #frame() {
    const canvas = new OffscreenCanvas(this.video.videoWidth, this.video.videoHeight);
    canvas.getContext("2d").drawImage(this.video, 0, 0);
    return canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
  }

  #stop() {
    for (const track of this.video.srcObject?.getTracks() ?? []) track.stop();
    this.video.srcObject = null;
    showBars(this.bars, []);
  }
}
