import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The browser talks to the gateway, which passes on what is no API and no endpoint of its own, the hot reload's
// WebSocket included. So there is nothing to set here but to listen where the gateway looks.
export default defineConfig({
  plugins: [react()],
  server: { host: "127.0.0.1", port: 5173, strictPort: true },
});
