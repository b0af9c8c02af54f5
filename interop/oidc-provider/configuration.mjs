// How the provider is set up: clients, accounts, the API, and what Portcullis needs to see of it.

import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { logoutForm, loggedOut, errorPage } from "./pages.mjs";

/** The API that access tokens are asked for. */
export const API = "https://api.example.test";
const API_SCOPES = "orders.read orders.write";
const OIDC_SCOPES = "openid profile email offline_access";

/** Who can sign in: the form asks for the name only. */
const ACCOUNTS = new Map([
  ["alice", { name: "Alice Archer", email: "alice@example.test", email_verified: true }],
  ["bob", { name: "Bob Baker", email: "bob@example.test", email_verified: true }],
]);

/** @param {string} login */
export function isAccount(login) {
  return ACCOUNTS.has(login);
}

/**
 * Settings from the environment; README.md lists them.
 *
 * @param {NodeJS.ProcessEnv} env
 */
export function settings(env) {
  const list = (/** @type {string | undefined} */ text) => (text ?? "").split(/[\s,]+/).filter((part) => part !== "");
  return {
    port: Number(env.PORT ?? 0),
    redirectUris: list(env.REDIRECT_URIS),
    postLogoutRedirectUris: list(env.POST_LOGOUT_REDIRECT_URIS),
    defaultResource: env.DEFAULT_RESOURCE === "1",
    accessTokenTtl: Number(env.ACCESS_TOKEN_TTL ?? 300),
    webAuthMethod: env.WEB_CLIENT_AUTH ?? "client_secret_basic",
    // The characters are on purpose: RFC 6749 s2.3.1 wants them form-urlencoded before base64.
    webSecret: env.WEB_CLIENT_SECRET ?? "web+secret/with:odd%characters&more",
    serviceSecret: env.SERVICE_CLIENT_SECRET ?? "service+secret/with:odd%characters&more",
  };
}

/**
 * @param {ReturnType<typeof settings>} given
 * @returns {import("oidc-provider").Configuration}
 */
export function configuration(given) {
  return {
    clients: clients(given),
    jwks: { keys: [signingKey()] },
    cookies: { keys: [generateSecret()] },
    scopes: ["openid", "offline_access"],
    claims: { openid: ["sub"], profile: ["name"], email: ["email", "email_verified"] },
    // Profile claims in the ID token: an access token for the API is not one for userinfo.
    conformIdTokenClaims: false,
    findAccount: (_ctx, sub) => account(sub),
    pkce: { required: () => true },

    rotateRefreshToken: true,
    // By default a refresh token needs `offline_access` and a consent page, and dies with the provider's session.
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed("refresh_token"),
    expiresWithSession: async () => false,
    ttl: { AccessToken: given.accessTokenTtl, ClientCredentials: given.accessTokenTtl, AuthorizationCode: 60, IdToken: 300, Interaction: 600, Session: 3600, Grant: 3600, RefreshToken: 3600 },

    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    loadExistingGrant,
    renderError: errorPage,
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      revocation: { enabled: true },
      introspection: { enabled: true },
      rpInitiatedLogout: { enabled: true, logoutSource: logoutForm, postLogoutSuccessSource: loggedOut },
      resourceIndicators: {
        enabled: true,
        defaultResource: async (_ctx, _client, oneOf) => oneOf ?? (given.defaultResource ? API : undefined),
        // The token request need not repeat what the authorization request asked for.
        useGrantedResource: async () => true,
        getResourceServerInfo,
      },
    },
  };
}

/** @param {ReturnType<typeof settings>} given */
function clients(given) {
  return [
    {
      client_id: "web",
      client_secret: given.webSecret,
      token_endpoint_auth_method: given.webAuthMethod,
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      redirect_uris: given.redirectUris,
      post_logout_redirect_uris: given.postLogoutRedirectUris,
    },
    {
      client_id: "service",
      client_secret: given.serviceSecret,
      token_endpoint_auth_method: "client_secret_basic",
      grant_types: ["client_credentials"],
      response_types: [],
      redirect_uris: [],
    },
  ];
}

/** RFC 8707 with JWT access tokens (RFC 9068) for the one API there is. */
async function getResourceServerInfo(_ctx, resource) {
  if (resource !== API) {
    const { errors } = await import("oidc-provider");
    throw new errors.InvalidTarget();
  }
  return { scope: API_SCOPES, audience: API, accessTokenFormat: "jwt", jwt: { sign: { alg: "RS256" } } };
}

/** Everything that is asked for is granted, so that there is no consent page. */
async function loadExistingGrant(ctx) {
  const { client, session, provider } = ctx.oidc;
  // A revoked refresh token takes its grant along, while the session still names it.
  const known = await provider.Grant.find(session.grantIdFor(client.clientId) ?? "none");
  if (known) return known;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(OIDC_SCOPES);
  grant.addResourceScope(API, API_SCOPES);
  await grant.save();
  return grant;
}

/** @param {string} sub */
function account(sub) {
  const claims = ACCOUNTS.get(sub);
  return claims && { accountId: sub, claims: async () => ({ sub, ...claims }) };
}

function signingKey() {
  // By way of PEM: exporting the very object that was generated makes Node 20 stop for good, once in a thousand times,
  // where the garbage collector comes in between (it takes the key's lock a second time).
  const { privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  const key = createPrivateKey(privateKey).export({ format: "jwk" });
  return { ...key, use: "sig", alg: "RS256", kid: "interop-rs256" };
}

function generateSecret() {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64url");
}
