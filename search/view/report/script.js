"use strict";
(() => {
  // Sections become tabs; without this script all of them are shown, one below the other.
  const links = [...document.querySelectorAll("nav a")];
  const sections = links.map((link) => document.getElementById(link.hash.slice(1)));
  const show = (chosen) => {
    links.forEach((link, number) => {
      link.setAttribute("aria-selected", number === chosen);
      link.tabIndex = number === chosen ? 0 : -1;
      sections[number].hidden = number !== chosen;
    });
  };
  document.querySelector("nav").setAttribute("role", "tablist");
  links.forEach((link, number) => {
    link.id = "tab-" + sections[number].id;
    link.setAttribute("role", "tab");
    link.setAttribute("aria-controls", sections[number].id);
    sections[number].setAttribute("role", "tabpanel");
    link.addEventListener("click", (event) => {
      event.preventDefault();
      history.replaceState(null, "", link.hash);
      show(number);
    });
    link.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = links[(number + step + links.length) % links.length];
      next.focus();
      next.click();
    });
  });
  const fromAddress = () => Math.max(0, links.findIndex((link) => link.hash === location.hash));
  addEventListener("hashchange", () => show(fromAddress()));
  show(fromAddress());

  // Each arm can be hidden, everywhere at once.
  const toggles = [...document.querySelectorAll("[data-toggle]")];
  toggles.forEach((toggle) => {
    toggle.addEventListener("click", () => {
      const shown = toggle.getAttribute("aria-pressed") !== "true";
      toggle.setAttribute("aria-pressed", shown);
      document.querySelectorAll(`[data-arm="${toggle.dataset.toggle}"]`).forEach((part) => {
        part.classList.toggle("off", !shown);
      });
    });
  });
  document.querySelector(".arms").hidden = toggles.length < 2;

  // The browser's own tooltips are slow: the same words are shown at once instead.
  const tip = document.getElementById("tip");
  document.querySelectorAll(".chart > title").forEach((title) => {
    title.parentNode.setAttribute("aria-label", title.textContent);
    title.remove();
  });
  document.querySelectorAll(".cell svg > title").forEach((title) => {
    title.parentNode.setAttribute("role", "img");
    title.parentNode.setAttribute("aria-label", title.textContent);
    title.remove();
  });
  document.querySelectorAll(".chart title").forEach((title) => {
    title.parentNode.dataset.tip = title.textContent;
    title.remove();
  });
  document.addEventListener("pointermove", (event) => {
    const words = event.target.dataset && event.target.dataset.tip;
    tip.hidden = !words;
    if (!words) return;
    tip.textContent = words;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 4)) + "px";
    tip.style.top = (event.clientY + 18 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 18) + "px";
  });
})();
