"""One network per regime, trained with torch and served with numpy."""
