// What npm's jose says of tokens, told to every check that it has. Reads one JSON document from standard input:
// { "jwks": {...}, "issuer": "...", "audience": "...", "algorithms": [...], "tokens": ["...", ...] }
// and writes one: [true, false, ...], whether each is accepted.
import { text } from "node:stream/consumers";
import { createLocalJWKSet, jwtVerify } from "jose";

const { jwks, issuer, audience, algorithms, tokens } = JSON.parse(await text(process.stdin));
const keys = createLocalJWKSet(jwks);
const options = {
  issuer,
  audience,
  algorithms,
  typ: "at+jwt",
  requiredClaims: ["sub", "iat", "exp"],
  clockTolerance: 30,
};

const verdicts = [];
for (const token of tokens) {
  verdicts.push(await jwtVerify(token, keys, options).then(() => true, () => false));
}
process.stdout.write(JSON.stringify(verdicts));
