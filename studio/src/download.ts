/** Saves what lies at another origin, too: a browser would open that in the place of this page. Throws TypeError. */
export async function save(event: MouseEvent & { currentTarget: HTMLAnchorElement }): Promise<void> {
  const { href, origin, download } = event.currentTarget;
  if (origin === location.origin) return; // the link does it
  event.preventDefault();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await (await fetch(href)).blob());
  link.download = download;
  link.click();
  URL.revokeObjectURL(link.href);
}
