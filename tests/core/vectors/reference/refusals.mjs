// How a body is refused: never cached with a reason word, or answered with a 400.

export class Bypass extends Error {}
export class Refused extends Error {}
export class NotJson extends Error {}
export const bypass = (word) => { throw new Bypass(word); };
export const need = (condition) => { if (!condition) bypass("field-type"); };
