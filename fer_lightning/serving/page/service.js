// Pictures are looked at by the service.

export const access = { token: "" };

class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

// JSON from the service; throws `Refused`, with status 0 where nothing answers.
export async function ask(path, given = {}) {
  const headers = access.token ? { Authorization: `Bearer ${access.token}` } : {};
  let done;
  try {
    done = await fetch(path, { ...given, headers });
  } catch {
    throw new Refused(0, "The service cannot be reached. Does it still run?");
  }
  const content = await done.json().catch(() => ({}));
  if (done.ok || content.images) return content;
  throw new Refused(done.status, content.error?.message ?? `The service answered with status ${done.status}.`);
}

export async function recognize(picture, { whole, least }) {
  const blob = picture instanceof Blob ? picture : await new Promise((go) => picture.toBlob(go, "image/jpeg", 0.9));
  const form = new FormData();
  form.append("images", blob, "image");
  const options = new URLSearchParams({ min_confidence: least });
  if (whole) options.set("whole", "true");
  for (let tries = 0; ; tries += 1) {
    try {
      return (await ask(`v1/predict?${options}`, { method: "POST", body: form })).images[0];
    } catch (error) {
      if (error.status !== 429 || tries === 5) throw error;
      await new Promise((go) => setTimeout(go, 1000)); // as Retry-After says
    }
  }
}
