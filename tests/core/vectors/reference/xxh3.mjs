// XXH3, 128 bits, seeded (its specification: github.com/Cyan4973/xxHash); no canonical text is under 17 bytes.

const SECRET = Buffer.from(
  "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221" +
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8" +
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb" +
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e",
  "hex",
);
const [P32_1, P32_2, P32_3] = [0x9e3779b1n, 0x85ebca77n, 0xc2b2ae3dn];
const [P1, P2, P3, P4, P5] = [0x9e3779b185ebca87n, 0xc2b2ae3d27d4eb4fn, 0x165667b19e3779f9n, 0x85ebca77c2b2ae63n, 0x27d4eb2f165667c5n];
const u64 = (n) => BigInt.asUintN(64, n);
const word = (bytes, at) => bytes.readBigUInt64LE(at);
const fold = (a, b) => u64(a * b) ^ ((a * b) >> 64n);

function avalanche(h) {
  h ^= h >> 37n;
  h = u64(h * 0x165667919e3779f9n);
  return h ^ (h >> 32n);
}

function mix16(text, at, key, seed) {
  return fold(word(text, at) ^ u64(word(SECRET, key) + seed), word(text, at + 8) ^ u64(word(SECRET, key + 8) - seed));
}

function mix32([low, high], text, one, two, key, seed) {
  low = u64(low + mix16(text, one, key, seed)) ^ u64(word(text, two) + word(text, two + 8));
  high = u64(high + mix16(text, two, key + 16, seed)) ^ u64(word(text, one) + word(text, one + 8));
  return [low, high];
}

function finish([low, high], length, seed) {
  const top = u64(low * P1 + high * P4 + (length - seed) * P2);
  return [avalanche(u64(low + high)), u64(-avalanche(top))];
}

function short(text, seed) {
  const size = text.length;
  let acc = [u64(BigInt(size) * P1), 0n];
  if (size <= 128) {
    for (const far of [48, 32, 16, 0]) if (size > 2 * far) acc = mix32(acc, text, far, size - far - 16, 2 * far, seed);
    return finish(acc, BigInt(size), seed);
  }
  for (let i = 32; i < 160; i += 32) acc = mix32(acc, text, i - 32, i - 16, i - 32, seed);
  acc = acc.map(avalanche);
  for (let i = 160; i <= size; i += 32) acc = mix32(acc, text, i - 32, i - 16, i - 157, seed);
  return finish(mix32(acc, text, size - 16, size - 32, 103, u64(-seed)), BigInt(size), seed);
}

function long(text, seed) {
  const secret = Buffer.alloc(192), size = text.length;
  for (let i = 0; i < 192; i += 16) {
    secret.writeBigUInt64LE(u64(word(SECRET, i) + seed), i);
    secret.writeBigUInt64LE(u64(word(SECRET, i + 8) - seed), i + 8);
  }
  const acc = [P32_3, P1, P2, P3, P4, P32_2, P5, P32_1];
  const stripe = (at, key) => {
    for (let i = 0; i < 8; i++) {
      const value = word(text, at + 8 * i), mixed = value ^ word(secret, key + 8 * i);
      acc[i ^ 1] = u64(acc[i ^ 1] + value);
      acc[i] = u64(acc[i] + (mixed & 0xffffffffn) * (mixed >> 32n));
    }
  };
  const stripes = Math.floor((size - 1) / 64);
  for (let n = 0; n < stripes; n++) {
    stripe(64 * n, 8 * (n % 16));
    if (n % 16 === 15) for (let i = 0; i < 8; i++) acc[i] = u64((acc[i] ^ (acc[i] >> 47n) ^ word(secret, 128 + 8 * i)) * P32_1);
  }
  stripe(size - 64, 121);
  const merge = (key, start) => {
    for (let i = 0; i < 4; i++) start += fold(acc[2 * i] ^ word(secret, key + 16 * i), acc[2 * i + 1] ^ word(secret, key + 16 * i + 8));
    return avalanche(u64(start));
  };
  return [merge(11, u64(BigInt(size) * P1)), merge(117, u64(~(BigInt(size) * P2)))];
}

export function xxh3(text, seed) {
  const [low, high] = text.length <= 240 ? short(text, seed) : long(text, seed);
  return high.toString(16).padStart(16, "0") + low.toString(16).padStart(16, "0");
}
