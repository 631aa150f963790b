/** What went wrong in words for whoever uses the page; other errors are bugs. */
export class UserError extends Error {}
