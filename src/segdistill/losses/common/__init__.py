"""What several losses share: sizes matched, masks drawn, relations compared, a discriminator, a memory."""
