/** Messages at the top of the page, which stay until dismissed. */
import { element } from "./bars.js";
import { UserError } from "./errors.js";

/**
 * Shows a message.
 *
 * @param {string} text its text.
 * @param {object} [action] `{title, run}`: a button that may solve the problem.
 */
export function say(text, action = null) {
  const box = element("p", "message");
  box.append(element("span", "", text));
  const buttons = action ? [[action.title, action.run]] : [];
  for (const [title, run] of [...buttons, ["Dismiss", () => {}]]) {
    const button = element("button", "", title);
    button.type = "button";
    button.addEventListener("click", () => {
      box.remove();
      run();
    });
    box.append(button);
  }
  document.getElementById("messages").append(box);
}

/** An error's message for visitors; anything but a `UserError` is a bug, and says so. */
export function wordsOf(error) {
  if (error instanceof UserError) return error.message;
  console.error(error);
  return `Something unexpected went wrong: ${error.message}`;
}
