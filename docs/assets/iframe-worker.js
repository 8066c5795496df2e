// The search runs in a Worker, which browsers do not allow a page that was opened as a file. There, a hidden frame does
// its work. The theme's own shim would come from a server: this one is part of the site, so nothing is asked elsewhere.
if (location.protocol === "file:") {
    window.Worker = class extends EventTarget {
        #waiting = [];

        constructor(url) {
            super();
            const frame = document.createElement("iframe");
            frame.hidden = true;
            document.body.append(frame);
            this.inner = frame.contentWindow;
            this.inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
            const script = this.inner.document.createElement("script");
            script.src = url;
            script.onload = () => {
                for (const data of this.#waiting.splice(0)) this.#give(data);
                this.#waiting = null;
            };
            this.inner.document.body.append(script);
        }

        #give(data) {
            this.inner.dispatchEvent(new MessageEvent("message", { data }));
        }

        postMessage(data) {
            if (this.#waiting) this.#waiting.push(data);
            else this.#give(data);
        }
    };
}
