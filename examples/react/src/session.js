import { useEffect, useState } from "react";
import { onSessionEnded, onSessionEnding, user } from "portcullis.js";

/**
 * Who is signed in: `undefined` until that is known, `null` where nobody is. `leaving` are the seconds until the session
 * ends, once there are few.
 */
export function useSession() {
  const [me, setMe] = useState(undefined);
  const [leaving, setLeaving] = useState(null);
  useEffect(() => {
    user().then(setMe, () => setMe(null));
    const offs = [
      onSessionEnding(({ secondsLeft }) => setLeaving(secondsLeft)),
      onSessionEnded(() => { setMe(null); setLeaving(null); }),
    ];
    return () => offs.forEach((off) => off());
  }, []);
  return { me, leaving };
}
