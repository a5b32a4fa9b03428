// Questions about values of the tree.

export const get = (object, name) => object.members.find(([n]) => n === name)?.[1];
export const has = (object, name) => get(object, name) !== undefined;
export const put = (object, name, value) => { object.members.find(([n]) => n === name)[1] = value; };
export const remove = (object, name) => { object.members = object.members.filter(([n]) => n !== name); };
export const given = (object, name) => has(object, name) && get(object, name).kind !== "null";
export const isText = (value, text) => value?.kind === "text" && (text === undefined || value.value === text);
export const isOne = (value) => value.kind === "int" && value.number === 1n;
export const isZero = (value) => value.kind === "int" && value.number === 0n;
export const isEmpty = (value) => value.kind === "object" && value.members.length === 0;
