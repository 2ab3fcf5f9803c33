/** Saves what lies at another origin, too: a browser would open that in the place of this page. Throws TypeError. */
export async function save(event: MouseEvent, url: string, name: string): Promise<void> {
  if (new URL(url, location.href).origin === location.origin) return; // the link does it
  event.preventDefault();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await (await fetch(url)).blob());
  link.download = `${name}.${new URL(url).pathname.split(".").at(-1)}`;
  link.click();
  URL.revokeObjectURL(link.href);
}
