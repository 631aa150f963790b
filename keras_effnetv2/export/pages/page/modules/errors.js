/** An error whose message is meant for visitors; other errors are bugs. */
export class UserError extends Error {}
