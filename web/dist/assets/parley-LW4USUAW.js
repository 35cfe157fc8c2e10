document.title="Parley";
