import { useState } from "react";
import { fetch, login, logout } from "portcullis.js";
import { useSession } from "./session.js";

export function App() {
  const { me, leaving } = useSession();
  const [answer, setAnswer] = useState("");

  async function load() {
    const response = await fetch("/api/orders");
    setAnswer(`${response.status} ${await response.text()}`);
  }

  if (me === undefined) return <p>…</p>;
  if (me === null) return <button id="sign-in" onClick={() => login()}>Sign in</button>;
  return (
    <main>
      <h1>Orders</h1>
      <p id="who">Signed in as {me.claims.name ?? me.claims.sub}</p>
      {leaving !== null && <p role="status">You will be signed out in {leaving} seconds.</p>}
      <button id="load" onClick={load}>Load the orders</button>
      <button id="sign-out" onClick={() => logout()}>Sign out</button>
      <pre id="answer">{answer}</pre>
    </main>
  );
}
